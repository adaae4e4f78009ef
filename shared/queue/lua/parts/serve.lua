-- put_back(list, ids, n): the ids from the n-th on to the list's head, in order.
local function put_back(list, ids, n)
  local back = {}
  for i = #ids, n, -1 do
    back[#back + 1] = ids[i]
  end
  redis.call('LPUSH', list, unpack(back))
end

-- serve(c, line, drawn): judges what was drawn and puts back what there is no room for; moves the served tenants
-- back in the line by what they got over their weight.
local function serve(c, line, drawn)
  local raws, states, tags, at, dry = {}, {}, {}, 0, any_dry(line)
  if #drawn > 0 then
    raws, states = redis.call('HMGET', K.jobs, unpack(drawn)), redis.call('HMGET', K.state, unpack(drawn))
  end
  for i = 1, #line do
    local turn, got, refused = line[i], 0, nil
    local ids = turn.ids
    for n = 1, #ids do
      local verdict, retry, by = judge(c, turn, ids[n], raws[at + n], states[at + n])
      if verdict == 'taken' then
        got = got + 1
      elseif verdict == 'refused' then
        refused = {retry = retry, by = by}
        put_back(turn.list, ids, n)
        break
      else
        c.budget = c.budget - 1
      end
    end
    at, c.free = at + #ids, c.free - got
    if not turn.parked then
      leave(c, turn, got, refused, dry)
    end
    if got > 0 then
      tags[#tags + 1], tags[#tags + 2] = turn.tag + got / turn.weight, turn.tenant
      c.vtime = max(c.vtime, turn.tag)
    end
  end
  if #tags > 0 then
    redis.call('ZADD', K.ready, unpack(tags))
  end
end
