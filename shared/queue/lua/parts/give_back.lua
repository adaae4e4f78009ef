-- give_back(m, known, jobs, now): frees the slots of jobs that are no longer active, and gives back the charges of
-- those with `refund`.
local function give_back(m, known, jobs, now)
  local lanes, relieved = {}, {}
  for _, job in ipairs(jobs) do
    local group, tenant = string.match(job.lane, '^(([^/]+)/[^/]+)/')
    for i, name in ipairs(group and {tenant, group, job.lane} or {job.lane}) do
      if math.floor(job.held / 2 ^ (i - 1)) % 2 == 1 then
        redis.call('ZREM', K.slots .. ':' .. name, job.id)
        relieved[name] = true
      end
    end
    if job.refund == 1 then
      lanes[#lanes + 1] = job.lane
    end
  end
  learn_lanes(m, known, lanes, now)
  for _, job in ipairs(jobs) do
    for _, subject in ipairs(job.refund == 1 and known.lanes[job.lane] or {}) do
      if subject and subject.logs then
        refund(subject.logs, job.cost, now - job.charged)
        subject.touched, relieved[subject.name] = true, true
        subject.room = room_in(subject.logs)
      end
    end
  end
  relieve(relieved)
end
