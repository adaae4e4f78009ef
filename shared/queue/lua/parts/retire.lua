-- forget(ids): drops jobs that are in no list any more, and what was told of them.
local function forget(ids)
  if #ids > 0 then
    redis.call('HDEL', K.jobs, unpack(ids))
    redis.call('HDEL', K.state, unpack(ids))
    redis.call('HDEL', K.reports, unpack(ids))
  end
end

-- retire(completed, failed, now, keep_completed, keep_failed): lists finished jobs, and forgets the oldest of
-- each kind beyond how many are kept, at most 200 a call.
local function retire(completed, failed, now, keep_completed, keep_failed)
  if #completed > 0 then
    local over = redis.call('RPUSH', K.completed, unpack(completed)) - keep_completed
    if over > 0 then
      forget(redis.call('LPOP', K.completed, math.min(over, 200)))
    end
  end
  if #failed > 0 then
    local scored = {}
    for _, id in ipairs(failed) do
      scored[#scored + 1] = now
      scored[#scored + 1] = id
    end
    redis.call('ZADD', K.failed, unpack(scored))
    local over = redis.call('ZCARD', K.failed) - keep_failed
    if over > 0 then
      local oldest = redis.call('ZRANGE', K.failed, 0, math.min(over, 200) - 1)
      redis.call('ZREM', K.failed, unpack(oldest))
      forget(oldest)
    end
  end
end
