-- draw(c, line): pops each turn's share of ids off its lane, from the first priority that has any; a lane that
-- may not start a job is parked. The ids drawn, in order. turn.fits: so many jobs of cost 1 the lane may surely start.
local function draw(c, line)
  local drawn = {}
  for n = 1, #line do
    local turn = line[n]
    turn.subjects = c.books.lanes[turn.lane]
    local jobs, retry, blamed, why = admission(c.books, turn.subjects, 1)
    if jobs < 1 then
      turn.ids, turn.parked = {}, true
      park(c, turn, false, retry, blamed, why)
    else
      local first, second, third, fourth = lane_lists(turn.lane)
      local count = min(turn.share, jobs)
      local popped = call('LMPOP', 4, first, second, third, fourth, 'LEFT', 'COUNT', count)
      turn.list, turn.ids, turn.fits = popped[1], popped[2], jobs
      turn.priority = byte(turn.list, -1) - 48
      for i = 1, #turn.ids do
        drawn[#drawn + 1] = turn.ids[i]
      end
    end
  end
  return drawn
end
