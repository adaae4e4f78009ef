-- write_books(known, now): charges what was booked on every subject, once each, and writes logs and slots.
local function write_books(known, now)
  local written = {}
  for name, subject in pairs(known) do
    if name ~= 'lanes' and subject then
      if subject.logs and (subject.spent > 0 or subject.touched) then
        if subject.spent > 0 then
          charge(subject.logs, subject.spent, now)
        end
        written[#written + 1] = name
        written[#written + 1] = pack_logs(subject.logs)
      end
      if subject.capped and #subject.takers > 0 then
        redis.call('ZADD', K.slots .. ':' .. name, unpack(subject.takers))
      end
    end
  end
  if #written > 0 then
    store_logs(written, now)
  end
end
