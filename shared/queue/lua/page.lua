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
RETURNS
  {cursor, {id, state, ...}}  cursor '0' after the last page; state as stored, '' for a waiting job that never ran
DERIVED
  jobs state delayed active completed failed
]]
-- @include redis/locals
-- @include queue/keys
-- @include queue/state
local cursor, ids, page = ARGV[2], {}, {}
local keys = {delayed = K.delayed, active = K.active, completed = K.completed, failed = K.failed}
if ARGV[1] == 'waiting' then
  local scanned = redis.call('HSCAN', K.jobs, cursor, 'COUNT', ARGV[3])
  cursor = scanned[1]
  for at = 1, #scanned[2], 2 do
    ids[#ids + 1] = scanned[2][at]
  end
else
  local first = tonumber(cursor)
  local command = ARGV[1] == 'completed' and 'LRANGE' or 'ZRANGE'
  ids = redis.call(command, keys[ARGV[1]], first, first + ARGV[3] - 1)
  cursor = #ids < tonumber(ARGV[3]) and '0' or tostring(first + #ids)
end
local states = #ids > 0 and redis.call('HMGET', K.state, unpack(ids))
for n, id in ipairs(ids) do
  if ARGV[1] ~= 'waiting' or state(states[n]) == 'w' then
    page[#page + 1] = id
    page[#page + 1] = states[n] or ''
  end
end
return {cursor, page}
