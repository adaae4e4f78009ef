--[[
measure: how much is where
Depths, how long the next in line have waited, what is parked, what is due and not looked at, what was refused.

KEYS
  1 meta  hash  the partition; its tag is in every key
ARGV
  1 now   ms    '' for the server's clock
RETURNS
  {delayed, waiting, active, completed, failed, parked, due, now, oldest, {scope, times, ...}}
    parked  lanes and subjects
    due     delayed jobs, and parked lanes and subjects, whose time has come: a claim would look at them
    now     ms
    oldest  ms: when the longest waiting of the 20 tenants next in line was enqueued or the first of `due` came
            due, whichever was earlier, or ''
DERIVED
  jobs state lane ring ready parked refused delayed active completed failed
]]
-- @include redis/locals
-- @include redis/clock
-- @include queue/keys
-- @include queue/record
-- @include queue/state
-- @include queue/heads
-- @include queue/lane_lists
local delayed, active = redis.call('ZCARD', K.delayed), redis.call('ZCARD', K.active)
local completed, failed = redis.call('LLEN', K.completed), redis.call('ZCARD', K.failed)
local waiting = redis.call('HLEN', K.jobs) - delayed - active - completed - failed
local now = clock(ARGV[1], 0)
local due, oldest = 0, math.huge
for _, key in ipairs({K.delayed, K.parked}) do
  due = due + redis.call('ZCOUNT', key, '-inf', now)
  local first = head(key)
  if first > 0 and first <= now then -- 0: at once, since nobody knows when
    oldest = math.min(oldest, first)
  end
end
for _, tenant in ipairs(redis.call('ZRANGE', K.ready, 0, 19)) do
  local lane = redis.call('LINDEX', K.ring .. ':' .. tenant, 0)
  for _, list in ipairs(lane and {lane_lists(lane)} or {}) do
    local id = redis.call('LINDEX', list, 0)
    local raw = id and redis.call('HGET', K.jobs, id)
    if raw and state(redis.call('HGET', K.state, id)) == 'w' then
      oldest = math.min(oldest, (select(7, record(raw))))
    end
  end
end
local refused = redis.call('HGETALL', K.refused)
local parked = redis.call('ZCARD', K.parked)
oldest = oldest < math.huge and oldest or ''
return {delayed, waiting, active, completed, failed, parked, due, now, oldest, refused}
