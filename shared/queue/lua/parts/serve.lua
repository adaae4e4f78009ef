-- put_back(list, ids, n): the ids from the n-th on to the list's head, in order.
local function put_back(list, ids, n)
  local back = {}
  for i = #ids, n, -1 do
    back[#back + 1] = ids[i]
  end
  redis.call('LPUSH', list, unpack(back))
end

-- serve(c, line, drawn): judges what was drawn, puts back what there is no room for, and lets go of lanes that are
-- empty or may start no more; moves the served tenants back in the line by what they got over their weight.
local function serve(c, line, drawn)
  local raws, states, tags, at = {}, {}, {}, 0
  if #drawn > 0 then
    raws, states = redis.call('HMGET', K.jobs, unpack(drawn)), redis.call('HMGET', K.state, unpack(drawn))
  end
  for _, turn in ipairs(line) do
    local got, verdict, retry, blamed, why = 0, nil, nil, nil, nil
    for n, id in ipairs(turn.ids) do
      verdict, retry, blamed, why = judge(c, turn, id, raws[at + n], state(states[at + n]))
      if verdict == 'refused' then
        put_back(turn.list, turn.ids, n)
        break
      elseif verdict == 'taken' then
        got = got + 1
      else
        c.budget = c.budget - 1
      end
    end
    c.free = c.free - got
    at = at + #turn.ids
    if verdict == 'refused' then
      park(c, turn, got > 0, retry, blamed, why)
    elseif not turn.parked and redis.call('EXISTS', lane_lists(turn.lane)) == 0 then
      redis.call('RPOP', turn.ring)
    elseif got > 0 then
      local jobs
      jobs, _, retry, blamed, why = admission(c.known, turn.lane, 1, c.now)
      if jobs < 1 then
        park(c, turn, true, retry, blamed, why)
      end
    end
    if got > 0 then
      tags[#tags + 1] = string.format('%.17g', turn.tag + got / turn.weight)
      tags[#tags + 1] = turn.tenant
      c.vtime = math.max(c.vtime, turn.tag)
    end
  end
  if #tags > 0 then
    redis.call('ZADD', K.ready, unpack(tags))
  end
end
