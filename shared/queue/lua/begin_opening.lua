--[[
begin_opening: any partition -> closed, under an epoch
Fence off every token from before, and drop what the opening seeds anew.

KEYS
  1 meta   hash  the partition; its tag is in every key
ARGV
  1 now    ms     '' for the server's clock
  2 epoch  count  of this opening, higher than any before
  3 run    str    run id of the server that the caller's connection found
RETURNS
  'ok'
  'superseded'  a newer opening holds the partition, or this one ended; nothing changed
DERIVED
  config windows
]]
-- @include redis/clock
-- @include queue/keys
-- @include queue/meta
-- @include limits/shelf
local m = meta()
local now, epoch = clock(ARGV[1], m.last), tonumber(ARGV[2])
if m.epoch > epoch or (m.epoch == epoch and m.run) then
  return 'superseded'
end
redis.call('HDEL', K.meta, 'run')
redis.call('HSET', K.meta, 'opening', ARGV[3])
m.epoch, m.last, m.paused, m.rules = epoch, now, false, false
write_meta(m)
local generation = math.floor(now / GENERATION)
redis.call('UNLINK', K.config, K.windows .. ':' .. generation, K.windows .. ':' .. (generation - 1))
return 'ok'
