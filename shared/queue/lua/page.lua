--[[
page: some of the jobs in a state
Delayed, active and failed jobs by time, completed ones as they ended; waiting ones in no order, a few or none a
call.

KEYS
  1 meta    hash  the partition; its tag is in every key
ARGV
  1 state   str    waiting, delayed, active, completed or failed
  2 cursor  str    '0', or what the last page returned
  3 limit   count  of jobs looked at
  4 whose   str    '' for all; or a lane, or a tenant, whose jobs are meant
RETURNS
  {cursor, {id, state, lane, at, ...}}
    cursor: '0' after the last page. state: as stored, '' for a waiting job that never ran. at, ms: when it was
    enqueued, is due, its lease ends, or it ended
DERIVED
  jobs state delayed active completed failed
]]
-- @include redis/locals
-- @include queue/keys
-- @include queue/record
-- @include queue/state
-- @include queue/place
local cursor, ids, scores, page = ARGV[2], {}, {}, {}
local keys = {delayed = K.delayed, active = K.active, failed = K.failed}
local first, last = tonumber(cursor), tonumber(cursor) + ARGV[3] - 1
if ARGV[1] == 'waiting' then
  local scanned = redis.call('HSCAN', K.jobs, cursor, 'COUNT', ARGV[3])
  cursor = scanned[1]
  for at = 1, #scanned[2], 2 do
    ids[#ids + 1] = scanned[2][at]
  end
elseif ARGV[1] == 'completed' then
  ids = redis.call('LRANGE', K.completed, first, last)
else
  local found = redis.call('ZRANGE', keys[ARGV[1]], first, last, 'WITHSCORES')
  for at = 1, #found, 2 do
    ids[#ids + 1], scores[found[at]] = found[at], found[at + 1]
  end
end
if ARGV[1] ~= 'waiting' then
  cursor = #ids < tonumber(ARGV[3]) and '0' or tostring(first + #ids)
end
local raws = #ids > 0 and redis.call('HMGET', K.jobs, unpack(ids))
local states = #ids > 0 and redis.call('HMGET', K.state, unpack(ids))
for n, id in ipairs(ids) do
  local lane = record(raws[n])
  local whose = ARGV[4] == '' or lane == ARGV[4] or match(lane, '^[^/]+') == ARGV[4]
  if whose and (ARGV[1] ~= 'waiting' or state(states[n]) == 'w') then
    place(page, id, raws[n], states[n], scores[id])
  end
end
return {cursor, page}
