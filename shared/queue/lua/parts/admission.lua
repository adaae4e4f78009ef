-- admission(books, subjects, cost): how many jobs of a cost a lane may start; with 0 jobs also when to look again,
-- which subject says so (the narrowest of those that say latest), and why.
local function admission(books, subjects, cost)
  local slots, room, retry, blamed, why = huge, huge, 0, nil, nil
  local now, seq = books.now, books.seq
  for i = 1, #subjects do
    local subject = subjects[i]
    if subject then
      local at, reason
      if subject.slots < 1 then
        local first = redis.call('ZRANGE', K.slots .. ':' .. subject.name, 0, 0, 'WITHSCORES')
        at, reason = tonumber(first[2]) or huge, 'cap'
      elseif cost > subject.room and cost > exact_room(subject, now, seq) then
        at, reason = room_at(subject.logs, subject.spent + cost, now), i == 3 and 'sender' or 'tenant'
      end
      if subject.closed > now and subject.closed > (at or 0) then
        at, reason = subject.closed, 'closed'
      end
      if at and at >= retry then
        retry, blamed, why = at, subject.name, reason
      end
      if subject.slots < slots then
        slots = subject.slots
      end
      if subject.room < room then
        room = subject.room
      end
    end
  end
  if blamed then
    return 0, retry, blamed, why
  end
  return min(slots, cost > 0 and floor(room / cost) or huge)
end

-- smallest_limit(subjects): the cost that a limit of theirs never allows is above it.
local function smallest_limit(subjects)
  local smallest = huge
  for i = 1, #subjects do
    local subject = subjects[i]
    smallest = subject and subject.windows and min(smallest, subject.windows.smallest) or smallest
  end
  return smallest
end
