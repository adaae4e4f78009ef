--[[
told: how much was ever told of a partition

KEYS
  1 meta  hash  the partition; its tag is in every key
RETURNS
  {added, last}  how many entries its stream has ever had, and the id of the last; 0 and '0-0' where there is none
DERIVED
  events
]]
-- @include queue/keys
local told = {['entries-added'] = 0, ['last-generated-id'] = '0-0'}
if redis.call('EXISTS', K.events) == 1 then
  local fields = redis.call('XINFO', 'STREAM', K.events)
  for at = 1, #fields, 2 do
    told[fields[at]] = fields[at + 1]
  end
end
return {told['entries-added'], told['last-generated-id']}
