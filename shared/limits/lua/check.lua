--[[
check: charge a key, if there is room in its window
A refused check costs nothing.

KEYS
  1 log     string  the key's log, gone when it says nothing any more
ARGV
  1 now     ms     '' for the server's clock
  2 limit   count  the most cost in any window
  3 length  ms     of the window
  4 cost    count
RETURNS
  {'allowed', remaining, reset}  charged; reset, ms: when the oldest charge leaves the window
  {'refused', remaining, reset}  not charged; reset, ms: when this cost would fit
]]
-- @include redis/clock
-- @include limits/log
-- @include limits/room
-- @include limits/charge
local length, cost = tonumber(ARGV[3]), tonumber(ARGV[4])
local raw = redis.call('GET', KEYS[1])
local last = raw and struct.unpack('>I6', raw, #raw - 9) or 0
local now = clock(ARGV[1], last)
local logs = arrange(unpack_logs(raw or '', now), {{length = length, limit = tonumber(ARGV[2])}}, 0)
local room = room_in(logs)
if cost > room then
  return {'refused', math.max(0, room), room_at(logs, cost, now)}
end
if cost > 0 then
  charge(logs, cost, now, now, now)
  redis.call('SET', KEYS[1], pack_logs(logs), 'PX', 2 * length)
end
local oldest = logs[1].bins ~= '' and struct.unpack('>I6', logs[1].bins) + length or now
return {'allowed', room - cost, oldest}
