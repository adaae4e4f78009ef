-- turns(known, free, most, now): the tenants whose turn it is, each with the lane at its ring's head (which goes
-- to the tail) and a share of the free jobs. Tenants with an empty ring leave the line here. Nil: nobody waits.
local function turns(known, free, most, now)
  local rows = redis.call('ZRANGE', K.ready, 0, most - 1, 'WITHSCORES')
  local names, line, served, idle = {}, {}, {}, {}
  for i = 1, #rows, 2 do
    names[#names + 1] = rows[i]
  end
  if #names == 0 then
    return nil
  end
  learn(known, names, now)
  for i, name in ipairs(names) do
    line[i] = {tenant = name, tag = tonumber(rows[2 * i]), weight = known[name].weight}
  end
  shares(line, free)
  for _, turn in ipairs(line) do
    local ring = K.ring .. ':' .. turn.tenant
    turn.lane = turn.share > 0 and redis.call('LMOVE', ring, ring, 'LEFT', 'RIGHT')
    if turn.lane then
      turn.ring, served[#served + 1] = ring, turn
    elseif turn.share > 0 then
      idle[#idle + 1] = turn.tenant
    end
  end
  if #idle > 0 then
    redis.call('ZREM', K.ready, unpack(idle))
  end
  return served
end
