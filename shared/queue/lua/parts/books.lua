-- open_books(m, now): what a call finds in force for subjects, and what it charges them. seq: the number of the
-- token that this call gives out, if it does.
local function open_books(m, now)
  return {rules = m.rules, seq = m.seq + 1, now = now, lanes = {}, subjects = {}, windows = {}}
end

-- close_books(books): charges what was booked on every subject, once each, and writes that and their slots.
local function close_books(books)
  local written = {}
  for name, subject in pairs(books.subjects) do
    if subject and subject.windows and (subject.spent > 0 or subject.touched) then
      written[#written + 1] = name
      written[#written + 1] = pack_charges(subject, books.now)
    end
    if subject and subject.capped and #subject.takers > 0 then
      redis.call('ZADD', K.slots .. ':' .. name, unpack(subject.takers))
    end
  end
  if #written > 0 then
    store_charges(written, books.now)
  end
end
