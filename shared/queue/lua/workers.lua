--[[
workers: who works
Those that said so lately, the last heard first.

KEYS
  1 meta    hash   the partition; its tag is in every key
ARGV
  1 now     ms     '' for the server's clock
  2 silent  ms     how long ago who is left out was last heard
  3 limit   count  of workers
RETURNS
  {worker, ago, slots, length, ...}
    worker  which process
    ago     ms: how long ago it was heard
    slots   how many jobs it can run at once
    length  us: how long one took it on average
DERIVED
  heard workers
]]
-- @include redis/clock
-- @include queue/keys
local now, found, names, times = clock(ARGV[1], 0), {}, {}, {}
local since, limit = now - ARGV[2], ARGV[3]
local flat = redis.call('ZRANGE', K.heard, '+inf', since, 'BYSCORE', 'REV', 'LIMIT', 0, limit, 'WITHSCORES')
for at = 1, #flat, 2 do
  names[#names + 1], times[#times + 1] = flat[at], tonumber(flat[at + 1])
end
for n, said in ipairs(#names > 0 and redis.call('HMGET', K.workers, unpack(names)) or {}) do
  local slots, length = string.match(said or '', '^(%d+) (%d+)$')
  if slots then
    for _, each in ipairs({names[n], math.max(now - times[n], 0), tonumber(slots), tonumber(length)}) do
      found[#found + 1] = each
    end
  end
end
return found
