--[[
open_plain: closed -> open, for a queue without rows
Open a partition with nothing to seed, whoever finds it closed. The epoch is the time: no token comes again.

KEYS
  1 meta  hash  the partition; its tag is in every key
ARGV
  1 now   ms    '' for the server's clock
  2 run   str   run id of the server that the caller's connection found
RETURNS
  'ok'
DERIVED
  wake
]]
-- @include redis/clock
-- @include queue/keys
-- @include queue/meta
-- @include queue/nudge
local m = meta()
if m.run ~= ARGV[2] then
  local now = clock(ARGV[1], m.last)
  redis.call('HSET', K.meta, 'epoch', math.max(now, (tonumber(m.epoch) or 0) + 1), 'run', ARGV[2], 'last', now)
  nudge()
end
return 'ok'
