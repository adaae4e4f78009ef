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
  m.last = clock(ARGV[1], m.last)
  m.epoch = math.max(m.last, m.epoch + 1)
  write_meta(m)
  redis.call('HSET', K.meta, 'run', ARGV[2])
  nudge()
end
return 'ok'
