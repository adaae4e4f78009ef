--[[
open: closed -> open
The last step of an opening: from here the partition serves.

KEYS
  1 meta   hash  the partition; its tag is in every key
ARGV
  1 epoch  count  of the opening
  2 run    str    run id of the server that the caller's connection found
RETURNS
  'ok'
  'superseded'  another opening holds the partition, nothing changed
DERIVED
  wake
]]
-- @include queue/keys
-- @include queue/meta
-- @include queue/opening
-- @include queue/nudge
if not opens(meta(), ARGV[1], ARGV[2]) then
  return 'superseded'
end
redis.call('HSET', K.meta, 'run', ARGV[2])
nudge()
return 'ok'
