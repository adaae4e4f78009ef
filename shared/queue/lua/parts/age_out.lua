-- age_out_completed(before, most): forgets jobs that completed before a time, the oldest first, at most so many; their
-- ids.
local function age_out_completed(before, most)
  local oldest, gone = redis.call('LRANGE', K.completed, 0, most - 1), {}
  if #oldest > 0 then
    for n, raw in ipairs(redis.call('HMGET', K.state, unpack(oldest))) do
      if select(5, state(raw)) >= before then
        break
      end
      gone[n] = oldest[n]
    end
  end
  if #gone > 0 then
    forget(redis.call('LPOP', K.completed, #gone))
  end
  return gone
end

-- age_out_failed(before, most): the same for jobs that failed.
local function age_out_failed(before, most)
  local gone = redis.call('ZRANGE', K.failed, '-inf', '(' .. before, 'BYSCORE', 'LIMIT', 0, most)
  if #gone > 0 then
    redis.call('ZREM', K.failed, unpack(gone))
    forget(gone)
  end
  return gone
end
