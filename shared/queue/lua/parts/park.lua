-- park(c, turn, served, retry, blamed, why): takes a lane out of its ring until a time. A lane that itself is to
-- blame comes back by itself; one of many under a wider subject waits in that subject's line, at its end if it
-- was served, else where it stood, so that siblings take turns.
local function park(c, turn, served, retry, blamed, why)
  redis.call('RPOP', turn.ring)
  if not c.parked then
    c.parked, c.unserved, c.refused, c.costly = {}, {}, {}, {}
  end
  c.refused[why] = (c.refused[why] or 0) + 1
  if blamed == turn.lane then
    c.parked['L' .. blamed] = retry
    return
  end
  c.parked['S' .. blamed] = retry
  if served then
    redis.call('RPUSH', K.held .. ':' .. blamed, turn.lane)
  else
    c.unserved[blamed] = c.unserved[blamed] or {}
    table.insert(c.unserved[blamed], 1, turn.lane)
  end
end

-- write_parked(c): writes down what was parked.
local function write_parked(c)
  local parked = {}
  for member, retry in pairs(c.parked or {}) do
    parked[#parked + 1] = retry
    parked[#parked + 1] = member
  end
  for subject, lanes in pairs(c.unserved or {}) do
    redis.call('LPUSH', K.held .. ':' .. subject, unpack(lanes))
  end
  for lane, subject in pairs(c.costly or {}) do
    if lane ~= subject then
      redis.call('SADD', K.costly .. ':' .. subject, lane)
      redis.call('PEXPIRE', K.costly .. ':' .. subject, GENERATION) -- nothing is parked for longer
    end
  end
  for why, times in pairs(c.refused or {}) do
    redis.call('HINCRBY', K.refused, why, times)
  end
  if #parked > 0 then
    redis.call('ZADD', K.parked, unpack(parked))
  end
end
