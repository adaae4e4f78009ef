--[[
beat: a worker says that it works
Also forgets some of those that have not said so for a while.

KEYS
  1 meta    hash  the partition; its tag is in every key
ARGV
  1 now     ms    '' for the server's clock
  2 worker  str   which process
  3 slots   int   how many jobs it can run at once
  4 length  us    how long a job took it on average; 0: it has not run any
  5 silent  ms    how long ago who is forgotten was last heard
RETURNS
  ok
DERIVED
  heard workers
]]
-- @include redis/clock
-- @include queue/keys
local now, silent = clock(ARGV[1], 0), tonumber(ARGV[5])
redis.call('ZADD', K.heard, now, ARGV[2])
redis.call('HSET', K.workers, ARGV[2], ARGV[3] .. ' ' .. ARGV[4])
for _, gone in ipairs(redis.call('ZRANGE', K.heard, '-inf', '(' .. now - silent, 'BYSCORE', 'LIMIT', 0, 20)) do
  redis.call('ZREM', K.heard, gone)
  redis.call('HDEL', K.workers, gone)
end
-- Of a queue on which nobody works any more nothing stays.
redis.call('PEXPIRE', K.heard, silent)
redis.call('PEXPIRE', K.workers, silent)
return 'ok'
