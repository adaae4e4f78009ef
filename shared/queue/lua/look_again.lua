--[[
look_again: parked lanes -> due
Let what waits for its time be looked at again, because what it waits for may have changed.

KEYS
  1 meta   hash  the partition; its tag is in every key
ARGV
  1 now    ms     '' for the server's clock
  2 limit  count  of lanes and subjects
RETURNS
  count  how many there were that were not due
DERIVED
  parked wake
]]
-- @include redis/clock
-- @include queue/keys
-- @include queue/meta
-- @include queue/nudge
local later = '(' .. clock(ARGV[1], meta().last)
local count = redis.call('ZCOUNT', K.parked, later, '+inf')
local due = {}
for _, member in ipairs(redis.call('ZRANGE', K.parked, later, '+inf', 'BYSCORE', 'LIMIT', 0, ARGV[2])) do
  due[#due + 1] = 0
  due[#due + 1] = member
end
if #due > 0 then
  redis.call('ZADD', K.parked, unpack(due))
  nudge()
end
return count
