-- holders(m, words): of the jobs that {id, epoch, seq}s speak for, those that their tokens hold, each once and with
-- its state; `words` says of each whether it is one. A token from before an opening holds nothing.
local function holders(m, jobs, words)
  local ids, held, seen = {}, {}, {}
  for n, job in ipairs(jobs) do
    ids[n] = job.id
  end
  local states, epoch = redis.call('HMGET', K.state, unpack(ids)), tonumber(m.epoch)
  for n, job in ipairs(jobs) do
    job.state = state(states[n])
    local active = job.state.letter == 'a' and job.state.seq == job.seq
    local holds = active and job.epoch == epoch and not seen[job.id]
    words[n] = holds and 'ok' or 'lease_lost'
    if holds then
      seen[job.id], held[#held + 1] = true, job
    end
  end
  return held
end
