-- fill(jobs): those whose end concerns their lane or what it was charged to, with lane, priority and cost.
local function fill(jobs)
  local ids, places = {}, {}
  for _, job in ipairs(jobs) do
    if job.verdict == 'l' or job.refund == 1 or job.held > 0 then
      ids[#ids + 1] = job.id
      places[#places + 1] = job
    end
  end
  local raws = #ids > 0 and redis.call('HMGET', K.jobs, unpack(ids))
  for i, job in ipairs(places) do
    job.lane, job.priority, job.cost = record(raws[i])
  end
  return places
end
