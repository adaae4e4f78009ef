-- any_dry(line): whether a list is empty now that turns popped from.
local function any_dry(line)
  local lists = {}
  for n = 1, #line do
    lists[#lists + 1] = line[n].list or nil
  end
  return #lists > 0 and redis.call('EXISTS', unpack(lists)) < #lists
end

-- leave(c, turn, got, refused, dry): lets go of a lane that is empty (only if `dry`), that may start no more jobs, or
-- whose next job costs more than fits (`refused`: until when, and by whom). That one waits alone: its siblings' jobs
-- may cost less.
local function leave(c, turn, got, refused, dry)
  local empty = dry and not refused and redis.call('LLEN', turn.list) == 0
  if empty and redis.call('EXISTS', lane_lists(turn.lane)) == 0 then
    redis.call('RPOP', turn.ring)
  elseif refused or turn.fits < 1 then
    local jobs, retry, blamed, why = admission(c.books, turn.subjects, 1)
    if jobs < 1 then
      park(c, turn, got > 0, retry, blamed, why)
    elseif refused then
      park(c, turn, got > 0, refused.retry, turn.lane, 'cost')
      c.costly[turn.lane] = refused.by
    end
  end
end
