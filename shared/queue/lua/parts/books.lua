-- open_books(m, now): what a call finds in force for subjects, and what it charges them. seq: the number of the
-- token that this call gives out, if it does.
local function open_books(m, now)
  return {rules = m.rules, seq = m.seq + 1, now = now, lanes = {}, subjects = {}}
end

-- close_books(books): charges what was booked on every subject, once each, and writes logs and slots.
local function close_books(books)
  local written = {}
  for name, subject in pairs(books.subjects) do
    if subject and subject.logs and (subject.spent > 0 or subject.touched) then
      if subject.spent > 0 then
        charge(subject.logs, subject.spent, books.now)
      end
      written[#written + 1] = name
      written[#written + 1] = pack_logs(subject.logs)
    end
    if subject and subject.capped and #subject.takers > 0 then
      redis.call('ZADD', K.slots .. ':' .. name, unpack(subject.takers))
    end
  end
  if #written > 0 then
    store_logs(written, books.now)
  end
end
