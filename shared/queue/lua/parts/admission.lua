-- admission(known, lane, cost, now): how many jobs of a cost the lane may start, and the cost that no limit of
-- its subjects allows; with 0 jobs also when to look again, which subject says so (the narrowest of those that
-- say latest), and why.
local function admission(known, lane, cost, now)
  local jobs, most = math.huge, math.huge
  local retry, blamed, why = 0, nil, nil
  local function refuse(at, subject, reason)
    jobs = 0
    if at >= retry then
      retry, blamed, why = at, subject, reason
    end
  end
  for i, name in ipairs(subjects_of(lane)) do
    local subject = known[name]
    if subject.closed > now then
      refuse(subject.closed, name, 'closed')
    end
    if subject.slots < 1 then
      local first = redis.call('ZRANGE', K.slots .. ':' .. name, 0, 0, 'WITHSCORES')
      refuse(tonumber(first[2]) or math.huge, name, 'cap')
    elseif subject.logs and cost > subject.room then
      refuse(room_at(subject.logs, subject.spent + cost, now), name, i == 3 and 'sender' or 'tenant')
    end
    jobs = math.min(jobs, subject.slots, cost > 0 and math.floor(subject.room / cost) or math.huge)
    most = math.min(most, subject.smallest)
  end
  return jobs, most, retry, blamed, why
end
