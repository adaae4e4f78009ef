-- lease(c, id, raw, s, held, fate): hands a job out under the call's token, until the lease ends; one with a fate
-- only to be settled, which is no attempt.
local function lease(c, id, raw, s, held, fate)
  s.letter, s.attempt, s.seq, s.at, s.held = 'a', s.attempt + (fate == '' and 1 or 0), c.seq, c.now, held
  c.states[#c.states + 1] = id
  c.states[#c.states + 1] = pack_state(s)
  c.leases[#c.leases + 1] = c.now + c.lease
  c.leases[#c.leases + 1] = id
  local taken = c.taken
  taken[#taken + 1] = id
  taken[#taken + 1] = raw
  taken[#taken + 1] = s.attempt
  taken[#taken + 1] = fate
end

-- write_leases(c): writes down what was leased, or put off.
local function write_leases(c)
  if #c.states > 0 then
    redis.call('HSET', K.state, unpack(c.states))
  end
  if #c.leases > 0 then
    redis.call('ZADD', K.active, unpack(c.leases))
  end
  if #c.later > 0 then
    redis.call('ZADD', K.delayed, unpack(c.later))
  end
end
