-- promote(ids, vtime): delayed jobs, in order, to the tails of their lanes; true if a lane was empty before.
local function promote(ids, vtime)
  local raws, states = redis.call('HMGET', K.jobs, unpack(ids)), redis.call('HMGET', K.state, unpack(ids))
  local jobs, fresh, changed = {}, {}, {}
  for i, id in ipairs(ids) do
    local lane, priority = record(raws[i])
    local _, attempt, stalls, _, at = state(states[i])
    jobs[i] = {id = id, lane = lane, priority = priority}
    if attempt + stalls + at == 0 then
      fresh[#fresh + 1] = id
    else
      changed[#changed + 1] = id
      changed[#changed + 1] = pack_state('w', attempt, stalls, 0, at, 0)
    end
  end
  if #fresh > 0 then
    redis.call('HDEL', K.state, unpack(fresh))
  end
  if #changed > 0 then
    redis.call('HSET', K.state, unpack(changed))
  end
  redis.call('ZREM', K.delayed, unpack(ids))
  return enlist('RPUSH', jobs, vtime)
end
