-- settle(held, vtime, now): moves jobs that left `active` where their verdicts say, but ends those that are cancelled;
-- the finished ones by kind, whether a worker may have to be woken, whether any verdict was not followed, and what to
-- tell of those that did not simply complete.
local WORDS = {f = 'failed', r = 'retried', l = 'released', d = 'deferred', x = 'cancelled'}

local function settle(held, vtime, now)
  local left, states, fresh, delayed, released = {}, {}, {}, {}, {}
  local completed, failed, overruled, others = {}, {}, false, {}
  for _, job in ipairs(held) do
    local verdict, id = job.verdict, job.id
    left[#left + 1] = id
    if job.held >= CANCELLED and verdict ~= 'c' and verdict ~= 'x' then
      verdict, overruled, job.word = 'x', true, 'cancelled'
      job.story = pack_bytes('>H', 9) .. 'cancelled'
    end
    local word = WORDS[verdict]
    if word then
      others[word] = others[word] or {}
      table.insert(others[word], id)
    end
    if verdict == 'x' then
      verdict, job.verdict = 'c', 'c'
    end
    if verdict == 'c' or verdict == 'f' then
      local list = verdict == 'c' and completed or failed
      list[#list + 1] = id
      states[#states + 1] = id
      states[#states + 1] = pack_state(verdict, job.attempt, job.stalls, 0, now, 0) .. job.story
    else
      local letter = verdict == 'l' and 'w' or 'd'
      local attempt = math.max(0, job.attempt - (verdict == 'r' and 0 or 1))
      if verdict == 'l' then
        table.insert(released, 1, job)
      else
        delayed[#delayed + 1] = job.at
        delayed[#delayed + 1] = id
      end
      if verdict == 'l' and attempt + job.stalls == 0 then
        fresh[#fresh + 1] = id
      else
        states[#states + 1] = id
        states[#states + 1] = pack_state(letter, attempt, job.stalls, 0, 0, 0)
      end
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
  return completed, failed, enlist('LPUSH', released, vtime) or #delayed > 0, overruled, others
end
