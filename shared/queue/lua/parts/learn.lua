-- learn(known, subjects, now): adds to `known` what is in force for subjects: closure, weight, logs of windows
-- with the room in them, free slots under a cap. One HMGET for all, and one or two for their logs.
local function learn(known, subjects, now)
  local names, limited, capped = {}, {}, {}
  local function ask(name)
    if name and not known[name] then
      known[name], names[#names + 1] = true, name
    end
  end
  for _, subject in ipairs(subjects) do
    ask(defaults_of(subject))
    ask(subject)
  end
  if #names == 0 then
    return
  end
  local raws = redis.call('HMGET', K.config, unpack(names))
  for i, name in ipairs(names) do
    local found = config(raws[i])
    local defaults = defaults_of(name)
    found.windows = found.windows or (defaults and known[defaults].windows)
    found.slots, found.room, found.smallest, found.spent, found.takers = math.huge, math.huge, math.huge, 0, {}
    known[name] = found
    if found.windows and string.sub(name, 1, 2) ~= '*/' then
      limited[#limited + 1] = name
    end
    if found.capped then
      redis.call('ZREMRANGEBYSCORE', K.slots .. ':' .. name, '-inf', now)
      found.slots = found.cap - redis.call('ZCARD', K.slots .. ':' .. name)
    end
  end
  local logs = #limited > 0 and fetch_logs(limited, now)
  for i, name in ipairs(limited) do
    local found = known[name]
    found.logs = read_logs(logs[i], found.windows, now)
    found.room, found.smallest = room_in(found.logs)
  end
end
