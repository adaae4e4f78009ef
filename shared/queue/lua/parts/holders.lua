-- holders(m, jobs, words): of the jobs that {id, epoch, seq}s speak for, those that their tokens hold, each once and
-- with what its state says; `words` says of each whether it is one. A token from before an opening holds nothing.
local function holders(m, jobs, words)
  local ids, held, seen = {}, {}, {}
  for n = 1, #jobs do
    ids[n] = jobs[n].id
  end
  local states = #ids > 0 and redis.call('HMGET', K.state, unpack(ids))
  for n = 1, #jobs do
    local job = jobs[n]
    local letter, attempt, stalls, seq, charged, slots = state(states[n])
    if letter == 'a' and seq == job.seq and job.epoch == m.epoch and not seen[job.id] then
      job.attempt, job.stalls, job.charged, job.held = attempt, stalls, charged, slots
      words[n], seen[job.id], held[#held + 1] = 'ok', true, job
    else
      words[n] = 'lease_lost'
    end
  end
  return held
end
