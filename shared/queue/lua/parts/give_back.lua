-- give_back(known, jobs, now): frees the slots of jobs that are no longer active, and gives back the charges of
-- those with `refund`.
local function give_back(known, jobs, now)
  local refunded, relieved = {}, {}
  for _, job in ipairs(jobs) do
    local subjects = subjects_of(job.lane)
    for i, name in ipairs(subjects) do
      if math.floor(job.state.held / 2 ^ (i - 1)) % 2 == 1 then
        redis.call('ZREM', K.slots .. ':' .. name, job.id)
        relieved[name] = true
      end
      if job.refund == 1 then
        refunded[#refunded + 1] = name
      end
    end
  end
  learn(known, refunded, now)
  for _, job in ipairs(jobs) do
    for _, name in ipairs(job.refund == 1 and subjects_of(job.lane) or {}) do
      local subject = known[name]
      if subject.logs then
        refund(subject.logs, job.cost, now - job.state.at)
        subject.touched, relieved[name] = true, true
        subject.room = room_in(subject.logs)
      end
    end
  end
  relieve(relieved)
end
