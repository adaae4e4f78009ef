--[[
workers: who works
Those that said so lately.

KEYS
  1 meta    hash  the partition; its tag is in every key
ARGV
  1 now     ms    '' for the server's clock
  2 silent  ms    how long ago who is left out was last heard
RETURNS
  {slots, length, ...}  for each: how many jobs it can run at once, and how long one took it on average, us
DERIVED
  workers
]]
-- @include redis/clock
-- @include queue/keys
local now, found = clock(ARGV[1], 0), {}
local all = redis.call('HGETALL', K.workers)
for at = 2, #all, 2 do
  local heard, slots, length = string.match(all[at], '^(%d+) (%d+) (%d+)$')
  if tonumber(heard) >= now - tonumber(ARGV[2]) then
    found[#found + 1] = tonumber(slots)
    found[#found + 1] = tonumber(length)
  end
end
return found
