--[[
seed_slots: what runs under subjects' caps and this Redis does not know of
Part of an opening. Each slot ends by itself.

KEYS
  1 meta   hash  the partition; its tag is in every key
ARGV
  1 epoch  count  of the opening
  2 run    str    run id of the server that the caller's connection found
  3+              for each: subject, slot id, when it ends in ms
RETURNS
  'ok'
  'superseded'  another opening holds the partition, nothing changed
DERIVED
  slots
]]
-- @include queue/keys
-- @include queue/meta
-- @include queue/opening
if not opens(meta(), ARGV[1], ARGV[2]) then
  return 'superseded'
end
for at = 3, #ARGV, 3 do
  redis.call('ZADD', K.slots .. ':' .. ARGV[at], ARGV[at + 2], ARGV[at + 1])
end
return 'ok'
