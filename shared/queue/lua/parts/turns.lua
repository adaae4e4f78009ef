-- turns(books, free, most): the tenants whose turn it is, each with the lane at its ring's head (which goes
-- to the tail) and a share of the free jobs. Tenants with an empty ring leave the line. Nil: nobody waits.
local function turns(books, free, most)
  local rows = call('ZRANGE', K.ready, 0, most - 1, 'WITHSCORES')
  if #rows == 0 then
    return nil
  end
  local line, served, lanes, idle = {}, {}, {}, {}
  local wanted = {names = {}, defaults = {}}
  for i = 1, #rows, 2 do
    line[#line + 1] = {
      tenant = rows[i], tag = tonumber(rows[i + 1]), weight = 1, share = 0, ring = '', lane = '',
      subjects = rows, ids = rows, list = false, priority = false, parked = false, fits = 0,
    }
    if books.rules then
      ask(books, wanted, rows[i])
    end
  end
  if #wanted.names > 0 then
    learn_subjects(books, wanted)
  end
  for n = 1, books.rules and #line or 0 do
    local tenant = books.subjects[line[n].tenant]
    line[n].weight = tenant and tenant.weight or 1
  end
  shares(line, free)
  local stem = K.ring .. ':'
  for n = 1, #line do
    local turn = line[n]
    if turn.share > 0 then
      turn.ring = stem .. turn.tenant
      turn.lane = call('LMOVE', turn.ring, turn.ring, 'LEFT', 'RIGHT')
      if turn.lane then
        served[#served + 1], lanes[#lanes + 1] = turn, turn.lane
      else
        idle[#idle + 1] = turn.tenant
      end
    end
  end
  if #idle > 0 then
    call('ZREM', K.ready, unpack(idle))
  end
  learn_lanes(books, lanes)
  return served
end

-- anybody_waits(): whether there is work for another worker; a tenant alone in the line may have none.
local function anybody_waits()
  local line = call('ZRANGE', K.ready, 0, 1)
  return #line == 2 or (#line == 1 and call('EXISTS', K.ring .. ':' .. line[1]) == 1)
end
