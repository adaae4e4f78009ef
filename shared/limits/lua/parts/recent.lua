-- What is stored of a subject is what it was charged recently, in front of the logs of its windows: the times of its
-- first and last recent charge 6 each, their cost 4, room 4, length of the windows 2, windows (as in a configuration).
-- While the first is younger than a 64th of the shortest window, and the windows are in force that it was charged
-- under, a charge only changes this part, and the logs are carried over unread. Else it joins them and another begins.
-- It joins a bin whole, counted as of its last charge, and no bin ever spans more than length/64: all that is said of
-- logs stays true. `room` is what they allowed when they were last read, less what was charged since: at worst too
-- small, since nothing was seen to leave. So it may admit; only logs that were read may refuse.

-- read_logs(subject, now, seq): its logs, the recent charge in them, and the room that they leave.
local function read_logs(subject, now, seq)
  local logs = unpack_logs(subject.stored, now)
  if subject.recent > 0 then
    charge(logs, subject.recent, subject.first, subject.last, now)
  end
  subject.logs = arrange(logs, subject.windows, seq)
  subject.room = room_in(subject.logs) - subject.spent
end

-- read_charges(subject, raw, now, seq): what is stored of a subject; `open`: its recent part may take a charge more.
local function read_charges(subject, raw, now, seq)
  if raw then
    local first, last, cost, room, under, at = unpack_bytes('>I6I6I4I4Hc0', raw)
    subject.first, subject.last, subject.recent, subject.room = cost > 0 and first or now, last, cost, room
    subject.stored = sub(raw, at)
    subject.open = now - subject.first < subject.windows.shortest / 64
      and under == subject.windows.raw
  end
  if not subject.open then
    read_logs(subject, now, seq)
  end
end

-- exact_room(subject, now, seq): how much cost fits now, by its logs.
local function exact_room(subject, now, seq)
  if not subject.logs then
    read_logs(subject, now, seq)
  end
  return subject.room
end

-- fold(subject, now, seq): its logs, to be changed by the caller: the recent charge stays in them.
local function fold(subject, now, seq)
  if not subject.logs then
    read_logs(subject, now, seq)
  end
  subject.open, subject.touched = false, true
  return subject.logs
end

-- pack_charges(subject, now): what is to be stored of it, with what it spent in this call.
local function pack_charges(subject, now)
  local under, last = subject.windows.raw, subject.last > now and subject.last or now
  if subject.open then
    local cost = subject.recent + subject.spent
    return pack_bytes('>I6I6I4I4Hc0', subject.first, last, cost, subject.room, #under, under) .. subject.stored
  end
  local room = math.min(math.max(0, subject.room), 4294967295)
  return pack_bytes('>I6I6I4I4Hc0', now, last, subject.spent, room, #under, under) .. pack_logs(subject.logs)
end
