-- ask(books, wanted, name, defaults): a subject to be learned, once; `defaults` is the `*/channel` whose windows hold
-- where it has none of its own, or nil.
local function ask(books, wanted, name, defaults)
  local subjects, names = books.subjects, wanted.names
  if subjects[name] == nil then
    local n = #names + 1
    subjects[name], names[n], wanted.defaults[n] = false, name, defaults or false
  end
end

local ORDINARY = config(false) -- of whom nothing is said

-- subject(books, name, raw, defaults): what is in force for a subject, nothing charged yet; false if nothing is.
local function subject(books, name, raw, defaults)
  local limits = defaults and defaults.windows
  if not raw and not limits then
    return false
  end
  local c = raw and config(raw) or ORDINARY
  return {
    name = name, windows = c.windows and windows(books.windows, c.windows) or limits, weight = c.weight,
    closed = c.closed, capped = c.capped and c.cap, slots = huge, takers = raw and {},
    stored = '', first = 0, last = 0, recent = 0, room = huge, open = false, logs = false, spent = 0, touched = false,
  }
end

-- learn_subjects(books, wanted): closure and weight of subjects, their windows and what was charged in them,
-- their free slots under a cap.
local function learn_subjects(books, wanted)
  local names, subjects = wanted.names, books.subjects
  local raws, limited = redis.call('HMGET', K.config, unpack(names)), {}
  for i = 1, #names do
    local name = names[i]
    local found = subject(books, name, raws[i], subjects[wanted.defaults[i]])
    subjects[name] = found
    if found and found.windows and wanted.defaults[i] ~= name then
      limited[#limited + 1] = name
    end
    if found and found.capped then
      redis.call('ZREMRANGEBYSCORE', K.slots .. ':' .. name, '-inf', books.now)
      found.slots = found.capped - redis.call('ZCARD', K.slots .. ':' .. name)
    end
  end
  local stored = #limited > 0 and fetch_charges(limited, books.now)
  for i = 1, #limited do
    read_charges(subjects[limited[i]], stored[i], books.now, books.seq)
  end
end
