-- draw(c, line): pops each turn's share of ids off its lane, from the first priority that has any; a lane that
-- may not start a job is parked. The ids drawn, in order.
local function draw(c, line)
  local subjects, drawn = {}, {}
  for _, turn in ipairs(line) do
    for _, name in ipairs(subjects_of(turn.lane)) do
      subjects[#subjects + 1] = name
    end
  end
  if #subjects > 0 then
    learn(c.known, subjects, c.now)
  end
  for _, turn in ipairs(line) do
    local jobs, _, retry, blamed, why = admission(c.known, turn.lane, 1, c.now)
    turn.ids = {}
    if jobs < 1 then
      turn.parked = true
      park(c, turn, false, retry, blamed, why)
    else
      local count = math.min(turn.share, jobs)
      local a, b, x, y = lane_lists(turn.lane)
      local popped = redis.call('LMPOP', 4, a, b, x, y, 'LEFT', 'COUNT', count)
      if popped then
        turn.list, turn.ids = popped[1], popped[2]
        turn.priority = tonumber(string.sub(turn.list, -1))
      end
    end
    for _, id in ipairs(turn.ids) do
      drawn[#drawn + 1] = id
    end
  end
  return drawn
end
