--[[
ended: when the last jobs ended

KEYS
  1 meta   hash   the partition; its tag is in every key
ARGV
  1 now    ms     '' for the server's clock
  2 limit  count  of completed jobs looked at, and of failed ones
RETURNS
  {now, {ended, ...}, {ended, ...}}  ms: completed jobs as they ended, and failed ones likewise
DERIVED
  state completed failed
]]
-- @include redis/locals
-- @include redis/clock
-- @include queue/keys
-- @include queue/state
local completed, failed, limit = {}, {}, tonumber(ARGV[2])
local kept = redis.call('LLEN', K.completed)
local ids = redis.call('LRANGE', K.completed, math.max(kept - limit, 0), kept)
for n, raw in ipairs(#ids > 0 and redis.call('HMGET', K.state, unpack(ids)) or {}) do
  completed[n] = raw and select(5, state(raw)) or 0
end
local scored = redis.call('ZRANGE', K.failed, 0, limit - 1, 'REV', 'WITHSCORES')
for at = #scored, 2, -2 do
  failed[#failed + 1] = tonumber(scored[at])
end
return {clock(ARGV[1], 0), completed, failed}
