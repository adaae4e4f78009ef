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
      if subject and subject.windows then
        refund(fold(subject, books.now, books.seq), job.cost, books.now - job.charged, job.seq)
        subject.room, relieved[subject.name] = room_in(subject.logs) - subject.spent, true
      end
    end
  end
end
