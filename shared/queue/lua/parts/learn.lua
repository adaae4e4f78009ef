-- ask(books, names, name): a subject to be learned, once.
local function ask(books, names, name)
  if books.subjects[name] == nil then
    books.subjects[name], names[#names + 1] = false, name
  end
end

-- learn_subjects(books, names): what is in force for subjects: closure, weight, windows with their logs and the
-- room in them, free slots under a cap; false where nothing is. The windows of `*/channel` are those of a channel's
-- subjects without their own.
local function learn_subjects(books, names)
  local raws = redis.call('HMGET', K.config, unpack(names))
  local limited = {}
  for i, name in ipairs(names) do
    local channel = string.match(name, '^[^*/]+/([^/]+)')
    local defaults = channel and books.subjects['*/' .. channel]
    if raws[i] or defaults then
      local subject = config(raws[i])
      subject.name, subject.windows = name, subject.windows or (defaults and defaults.windows)
      subject.spent, subject.room, subject.smallest, subject.slots = 0, math.huge, math.huge, math.huge
      books.subjects[name] = subject
      if subject.windows and string.sub(name, 1, 2) ~= '*/' then
        limited[#limited + 1] = name
      end
      if subject.capped then
        redis.call('ZREMRANGEBYSCORE', K.slots .. ':' .. name, '-inf', books.now)
        subject.slots, subject.takers = subject.cap - redis.call('ZCARD', K.slots .. ':' .. name), {}
      end
    end
  end
  local raw_logs = #limited > 0 and fetch_logs(limited, books.now)
  for i, name in ipairs(limited) do
    local subject = books.subjects[name]
    subject.logs = read_logs(raw_logs[i], subject.windows, books.now, books.seq)
    subject.room, subject.smallest = room_in(subject.logs)
  end
end
