-- judge(c, turn, id, raw, raw_state): what becomes of an id drawn from a lane's list. The list is a hint and the
-- record the truth: 'stale' if the id is no job that waits there. Else 'newer' (a worker that knows its version
-- must come), 'refused' (no room for its cost until a time, and in which subject's windows), 'doomed' (it can only
-- fail, and is leased without a charge for the caller to settle so), or 'taken'.
local function judge(c, turn, id, raw, raw_state)
  if not raw or c.seen[id] then
    return 'stale'
  end
  local lane, priority, cost, version, expires = record(raw)
  local letter, attempt, stalls, _, at = state(raw_state)
  if letter ~= 'w' or lane ~= turn.lane or priority ~= turn.priority then
    return 'stale'
  end
  local fate, held = '', 0
  if version > c.version then
    local waited = at > 0 and c.now - at or 0
    if waited < 86400000 then
      c.seen[id] = true
      c.later[#c.later + 1] = c.now + math.min(300000, waited + 30000)
      c.later[#c.later + 1] = id
      c.states[#c.states + 1] = id
      c.states[#c.states + 1] = pack_state('d', attempt, stalls, 0, c.now - waited, 0)
      return 'newer'
    end
    fate = 'version'
  elseif expires and expires <= c.now then
    fate = 'expired'
  else
    local units, jobs, retry, blamed = max(1, cost), 1, nil, nil
    if units > turn.fits then
      jobs, retry, blamed = admission(c.books, turn.subjects, cost)
    end
    local most = jobs < 1 and smallest_limit(turn.subjects) or huge
    if cost > most and most > 0 then
      fate = 'cost'
    elseif jobs < 1 then
      return 'refused', retry, blamed
    else
      held, turn.fits = take(turn.subjects, id, cost), turn.fits - units
    end
  end
  c.seen[id] = true
  lease(c, id, raw, attempt, stalls, held, fate)
  return fate == '' and 'taken' or 'doomed'
end
