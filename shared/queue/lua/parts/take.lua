-- take(known, lane, id, cost): books a job on its lane's subjects; `settle_books` writes that down. The slots it
-- holds, a bit each.
local function take(known, lane, id, cost)
  local held = 0
  for i, name in ipairs(subjects_of(lane)) do
    local subject = known[name]
    subject.spent, subject.room = subject.spent + cost, subject.room - cost
    if subject.capped then
      subject.slots, held = subject.slots - 1, held + 2 ^ (i - 1)
      subject.takers[#subject.takers + 1] = math.huge
      subject.takers[#subject.takers + 1] = id
    end
  end
  return held
end
