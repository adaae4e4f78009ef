-- ask(known, names, name): a subject to be learned, once.
local function ask(known, names, name)
  if known[name] == nil then
    known[name], names[#names + 1] = false, name
  end
end

-- learn_subjects(known, names, now): what is in force for subjects, into `known`: closure, weight, windows with
-- their logs and the room in them, free slots under a cap; false where nothing is. The windows of `*/channel` are
-- those of a channel's subjects without their own.
local function learn_subjects(known, names, now)
  local raws = redis.call('HMGET', K.config, unpack(names))
  local limited = {}
  for i, name in ipairs(names) do
    local channel = string.match(name, '^[^*/]+/([^/]+)')
    local defaults = channel and known['*/' .. channel]
    if raws[i] or defaults then
      local subject = config(raws[i])
      subject.name, subject.windows = name, subject.windows or (defaults and defaults.windows)
      subject.spent, subject.room, subject.smallest, subject.slots = 0, math.huge, math.huge, math.huge
      known[name] = subject
      if subject.windows and string.sub(name, 1, 2) ~= '*/' then
        limited[#limited + 1] = name
      end
      if subject.capped then
        redis.call('ZREMRANGEBYSCORE', K.slots .. ':' .. name, '-inf', now)
        subject.slots, subject.takers = subject.cap - redis.call('ZCARD', K.slots .. ':' .. name), {}
      end
    end
  end
  local logs = #limited > 0 and fetch_logs(limited, now)
  for i, name in ipairs(limited) do
    local subject = known[name]
    subject.logs = read_logs(logs[i], subject.windows, now)
    subject.room, subject.smallest = room_in(subject.logs)
  end
end

-- learn_lanes(m, known, lanes, now): the subjects that a job of each lane is charged to, into `known.lanes`, from
-- wide to narrow: the tenant, the tenant's channel, the lane; false for those without anything in force.
local function learn_lanes(m, known, lanes, now)
  local names, new = {}, {}
  for _, lane in ipairs(lanes) do
    if not known.lanes[lane] then
      local subjects = {}
      known.lanes[lane] = subjects
      if m.rules then
        local group, tenant, channel = string.match(lane, '^(([^/]+)/([^/]+))/')
        subjects[1], subjects[2], subjects[3] = tenant or lane, group, group and lane
        if group then
          ask(known, names, '*/' .. channel)
        end
        for _, name in ipairs(subjects) do
          ask(known, names, name)
        end
        new[#new + 1] = subjects
      end
    end
  end
  if #names > 0 then
    learn_subjects(known, names, now)
  end
  for _, subjects in ipairs(new) do
    for i = 1, #subjects do
      subjects[i] = known[subjects[i]]
    end
  end
end
