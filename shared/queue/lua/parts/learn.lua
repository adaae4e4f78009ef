-- ask(books, wanted, name, defaults): a subject to be learned, once; `defaults` is the `*/channel` whose windows hold
-- where it has none of its own, or nil.
local function ask(books, wanted, name, defaults)
  if books.subjects[name] == nil then
    local n = #wanted.names + 1
    books.subjects[name], wanted.names[n], wanted.defaults[n] = false, name, defaults or false
  end
end

-- subject(name, raw, defaults): what is in force for a subject, nothing charged yet; false if nothing is.
local function subject(name, raw, defaults)
  local windows = defaults and defaults.windows
  if not raw then
    return windows and {
      name = name, windows = windows, weight = 1, closed = 0, capped = false, slots = huge, takers = false,
      spent = 0, room = huge, smallest = huge, logs = false, touched = false,
    } or false
  end
  local c = config(raw)
  return {
    name = name, windows = c.windows or windows, weight = c.weight, closed = c.closed, capped = c.capped and c.cap,
    slots = huge, takers = {}, spent = 0, room = huge, smallest = huge, logs = false, touched = false,
  }
end

-- learn_subjects(books, wanted): closure and weight of subjects, their windows with their logs and the room in them,
-- their free slots under a cap.
local function learn_subjects(books, wanted)
  local names, subjects = wanted.names, books.subjects
  local raws, limited = redis.call('HMGET', K.config, unpack(names)), {}
  for i = 1, #names do
    local name = names[i]
    local found = subject(name, raws[i], subjects[wanted.defaults[i]])
    subjects[name] = found
    if found and found.windows and wanted.defaults[i] ~= name then
      limited[#limited + 1] = name
    end
    if found and found.capped then
      redis.call('ZREMRANGEBYSCORE', K.slots .. ':' .. name, '-inf', books.now)
      found.slots = found.capped - redis.call('ZCARD', K.slots .. ':' .. name)
    end
  end
  local logs = #limited > 0 and fetch_logs(limited, books.now)
  for i = 1, #limited do
    local found = subjects[limited[i]]
    found.logs, found.room, found.smallest = read_logs(logs[i], found.windows, books.now, books.seq)
  end
end
