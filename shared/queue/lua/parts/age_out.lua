-- age_out(before, most): forgets jobs that finished before a time, the oldest first, at most so many of each kind.
local function age_out(before, most)
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
  local failed = redis.call('ZRANGE', K.failed, '-inf', '(' .. before, 'BYSCORE', 'LIMIT', 0, most)
  if #failed > 0 then
    redis.call('ZREM', K.failed, unpack(failed))
    forget(failed)
  end
end
