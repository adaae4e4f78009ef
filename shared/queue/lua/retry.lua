--[[
retry: failed -> waiting
Let failed jobs wait again, at the tails of their lanes and with all their attempts.

KEYS
  1 meta   hash  the partition; its tag is in every key
ARGV
  1 limit  count  of the oldest failed jobs, where no ids are given
  2+              ids
RETURNS
  {id, ...}  the jobs that had failed
DERIVED
  jobs state lane ring ready parked failed wake events
]]
-- @include redis/locals
-- @include queue/keys
-- @include queue/meta
-- @include queue/record
-- @include queue/lane_lists
-- @include queue/ring_of
-- @include queue/ready
-- @include queue/relieve
-- @include queue/enlist
-- @include queue/nudge
-- @include queue/tell
local ids, seen = {}, {}
for at = 2, #ARGV do
  if not seen[ARGV[at]] and redis.call('ZSCORE', K.failed, ARGV[at]) then
    seen[ARGV[at]], ids[#ids + 1] = true, ARGV[at]
  end
end
if #ARGV == 1 then
  ids = redis.call('ZRANGE', K.failed, 0, tonumber(ARGV[1]) - 1)
end
if #ids > 0 then
  local jobs = {}
  for n, raw in ipairs(redis.call('HMGET', K.jobs, unpack(ids))) do
    local lane, priority = record(raw)
    jobs[n] = {id = ids[n], lane = lane, priority = priority}
  end
  redis.call('ZREM', K.failed, unpack(ids))
  tell(0, {requeued = ids})
  redis.call('HDEL', K.state, unpack(ids))
  if enlist('RPUSH', jobs, meta().vtime) then
    nudge()
  end
end
return ids
