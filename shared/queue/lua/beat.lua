--[[
beat: a worker says that it works
Also forgets those that have not said so for a while.

KEYS
  1 meta    hash  the partition; its tag is in every key
ARGV
  1 now     ms    '' for the server's clock
  2 worker  str   which process
  3 slots   int   how many jobs it can run at once
  4 length  us    how long a job took it on average; 0: it has not run any
  5 silent  ms    how long ago who is forgotten was last heard
RETURNS
  how many workers there are
DERIVED
  workers
]]
-- @include redis/clock
-- @include queue/keys
local now = clock(ARGV[1], 0)
redis.call('HSET', K.workers, ARGV[2], table.concat({now, ARGV[3], ARGV[4]}, ' '))
local all, gone = redis.call('HGETALL', K.workers), {}
for at = 1, #all, 2 do
  if tonumber(string.match(all[at + 1], '^%d+')) < now - tonumber(ARGV[5]) then
    gone[#gone + 1] = all[at]
  end
end
for _, worker in ipairs(gone) do
  redis.call('HDEL', K.workers, worker)
end
return #all / 2 - #gone
