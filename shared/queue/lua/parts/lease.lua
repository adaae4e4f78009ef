-- lease(c, id, raw, attempt, stalls, held, fate): hands a job out under the call's token, until the lease ends; one
-- with a fate only to be settled, which is no attempt.
local function lease(c, id, raw, attempt, stalls, held, fate)
  attempt = fate == '' and attempt + 1 or attempt
  local states, leases, taken = c.states, c.leases, c.taken
  local n, l, t = #states, #leases, #taken
  states[n + 1], states[n + 2] = id, pack_state('a', attempt, stalls, c.seq, c.now, held)
  leases[l + 1], leases[l + 2] = c.deadline, id
  taken[t + 1], taken[t + 2], taken[t + 3], taken[t + 4] = id, raw, attempt, fate
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
