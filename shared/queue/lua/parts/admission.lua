-- admission(subjects, cost, now): how many jobs of a cost a lane may start, and the cost that a limit of its
-- subjects never allows; with 0 jobs also when to look again, which subject says so (the narrowest of those that
-- say latest), and why.
local function admission(subjects, cost, now)
  local jobs, most = huge, huge
  local retry, blamed, why = 0, nil, nil
  for i = 1, #subjects do
    local subject = subjects[i]
    if subject then
      local at, reason
      if subject.slots < 1 then
        local first = redis.call('ZRANGE', K.slots .. ':' .. subject.name, 0, 0, 'WITHSCORES')
        at, reason = tonumber(first[2]) or huge, 'cap'
      elseif cost > subject.room then
        at, reason = room_at(subject.logs, subject.spent + cost, now), i == 3 and 'sender' or 'tenant'
      end
      if subject.closed > max(now, at or 0) then
        at, reason = subject.closed, 'closed'
      end
      if at and at >= retry then
        retry, blamed, why = at, subject.name, reason
      end
      jobs = min(jobs, subject.slots, cost > 0 and floor(subject.room / cost) or huge)
      most = min(most, subject.smallest)
    end
  end
  return blamed and 0 or jobs, most, retry, blamed, why
end
