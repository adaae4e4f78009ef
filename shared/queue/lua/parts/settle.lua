-- settle(held, vtime, now): moves jobs that left `active` where their verdicts say; the finished ones by kind, and
-- whether a worker may have to be woken.
local function settle(held, vtime, now)
  local left, states, fresh, delayed, released = {}, {}, {}, {}, {}
  local completed, failed = {}, {}
  for _, job in ipairs(held) do
    local s, verdict, id = job.state, job.verdict, job.id
    local story = ''
    left[#left + 1] = id
    s.seq, s.held = 0, 0
    if verdict == 'c' or verdict == 'f' then
      s.letter, s.at, story = verdict, now, job.story
      local list = verdict == 'c' and completed or failed
      list[#list + 1] = id
    else
      s.at, s.attempt = 0, math.max(0, s.attempt - (verdict == 'r' and 0 or 1))
      s.letter = verdict == 'l' and 'w' or 'd'
      if verdict == 'l' then
        table.insert(released, 1, job)
      else
        delayed[#delayed + 1] = job.at
        delayed[#delayed + 1] = id
      end
    end
    if s.letter == 'w' and s.attempt + s.stalls == 0 then
      fresh[#fresh + 1] = id
    else
      states[#states + 1] = id
      states[#states + 1] = pack_state(s) .. story
    end
  end
  redis.call('ZREM', K.active, unpack(left))
  if #states > 0 then
    redis.call('HSET', K.state, unpack(states))
  end
  if #fresh > 0 then
    redis.call('HDEL', K.state, unpack(fresh))
  end
  if #delayed > 0 then
    redis.call('ZADD', K.delayed, unpack(delayed))
  end
  return completed, failed, enlist('LPUSH', released, vtime) or #delayed > 0
end
