-- take(subjects, id, cost): books a job on its lane's subjects; `write_books` writes that down. The slots it
-- holds, a bit each.
local function take(subjects, id, cost)
  local held = 0
  for i = 1, #subjects do
    local subject = subjects[i]
    if subject then
      subject.spent, subject.room = subject.spent + cost, subject.room - cost
      if subject.capped then
        subject.slots, held = subject.slots - 1, held + 2 ^ (i - 1)
        subject.takers[#subject.takers + 1] = math.huge
        subject.takers[#subject.takers + 1] = id
      end
    end
  end
  return held
end
