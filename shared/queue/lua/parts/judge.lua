-- judge(c, turn, id, raw, s): what becomes of an id drawn from a lane's list. The list is a hint and the record
-- the truth: 'stale' if the id is no job that waits there. Else 'newer' (a worker that knows its version must
-- come), 'refused' (no room for its cost: with when, who and why), 'doomed' (it can only fail, and is leased
-- without a charge for the caller to settle so), or 'taken'.
local function judge(c, turn, id, raw, s)
  local job = raw and record(raw)
  if not job or s.letter ~= 'w' or c.seen[id] or job.lane ~= turn.lane or job.priority ~= turn.priority then
    return 'stale'
  end
  local fate, held = '', 0
  if job.version > c.version then
    c.seen[id] = true
    local waited = s.at > 0 and c.now - s.at or 0
    if waited < 86400000 then
      s.letter, s.at = 'd', c.now - waited
      c.later[#c.later + 1] = c.now + math.min(300000, waited + 30000)
      c.later[#c.later + 1] = id
      c.states[#c.states + 1] = id
      c.states[#c.states + 1] = pack_state(s)
      return 'newer'
    end
    fate = 'version'
  elseif job.expires and job.expires <= c.now then
    fate = 'expired'
  else
    local jobs, most, retry, blamed, why = admission(c.known, turn.lane, job.cost, c.now)
    if job.cost > most and most > 0 then
      fate = 'cost'
    elseif jobs < 1 then
      return 'refused', retry, blamed, why
    else
      held = take(c.known, turn.lane, id, job.cost)
    end
  end
  c.seen[id] = true
  lease(c, id, raw, s, held, fate)
  return fate == '' and 'taken' or 'doomed'
end
