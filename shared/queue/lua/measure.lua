--[[
measure: how much is where
Depths, how long the next in line have waited, how many lanes and subjects are parked, what was refused.

KEYS
  1 meta  hash  the partition; its tag is in every key
ARGV
  1 now   ms    '' for the server's clock
RETURNS
  {delayed, waiting, active, completed, failed, parked, now, oldest, {scope, times, ...}}
    now     ms
    oldest  ms: when the longest waiting of the 20 tenants next in line was enqueued, or ''
DERIVED
  jobs state lane ring ready parked refused delayed active completed failed
]]
-- @include redis/locals
-- @include redis/clock
-- @include queue/keys
-- @include queue/record
-- @include queue/state
-- @include queue/lane_lists
local delayed, active = redis.call('ZCARD', K.delayed), redis.call('ZCARD', K.active)
local completed, failed = redis.call('LLEN', K.completed), redis.call('ZCARD', K.failed)
local waiting = redis.call('HLEN', K.jobs) - delayed - active - completed - failed
local oldest = math.huge
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
return {delayed, waiting, active, completed, failed, parked, clock(ARGV[1], 0), oldest, refused}
