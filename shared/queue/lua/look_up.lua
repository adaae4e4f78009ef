--[[
look_up: where jobs are

KEYS
  1 meta  hash  the partition; its tag is in every key
ARGV
  1+            ids
RETURNS
  {found, ...}  for each: 'absent', 'fresh' (waiting, never run), or its state as stored
DERIVED
  jobs state
]]
-- @include queue/keys
local found = redis.call('HMGET', K.state, unpack(ARGV))
for n, id in ipairs(ARGV) do
  if not found[n] then
    found[n] = redis.call('HEXISTS', K.jobs, id) == 1 and 'fresh' or 'absent'
  end
end
return found
