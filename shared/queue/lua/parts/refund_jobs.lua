-- refund_jobs(books, jobs, relieved): gives back what jobs that say so were charged, and adds the subjects that have
-- room now.
local function refund_jobs(books, jobs, relieved)
  local lanes = {}
  for _, job in ipairs(jobs) do
    if job.refund == 1 then
      lanes[#lanes + 1] = job.lane
    end
  end
  learn_lanes(books, lanes)
  for _, job in ipairs(jobs) do
    for _, subject in ipairs(job.refund == 1 and books.lanes[job.lane] or {}) do
      if subject and subject.logs then
        refund(subject.logs, job.cost, books.now - job.charged, job.seq)
        subject.touched, relieved[subject.name] = true, true
        subject.room = room_in(subject.logs)
      end
    end
  end
end
