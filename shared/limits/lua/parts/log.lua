-- The log of a window: a charge goes into the open bin while less than length/64 has passed since the bin's
-- first charge, else into a new one; a bin leaves whole when its last charge is a length old. So what is
-- counted is never less than what was charged in the last length, and at most length/64 longer.

-- arrange(stored, windows, seq): the stored log of each {length, limit}; a new one where there is none, which knows
-- only of charges from token `seq` on.
local function arrange(stored, windows, seq)
  local logs = {}
  for i, window in ipairs(windows) do
    local log = {length = window.length, limit = 0, total = 0, start = 0, since = seq, bins = ''}
    for _, each in ipairs(stored) do
      if each.length == window.length then
        log = each
      end
    end
    logs[i] = log
  end
  return logs
end

-- read_logs(raw, windows, now, seq): the log of each {length, limit}, rid of bins that left; how much cost fits now;
-- the smallest limit. Of a log only the bins at its ends are ever read.
local function read_logs(raw, windows, now, seq)
  local logs, n, at = {}, 0, 1
  local room, smallest, known = math.huge, math.huge, true
  while raw and at <= #raw do
    local length, total, start, since, count, last, cost
    length, total, start, since, count, at = struct.unpack('>I4I4I6I6H', raw, at)
    local finish = at + count * 10
    while at < finish do
      last, cost = struct.unpack('>I6I4', raw, at)
      if last + length > now then
        break
      end
      at, total = at + 10, total - cost
    end
    n = n + 1
    logs[n] = {
      length = length, limit = 0, total = total, start = start, since = since,
      bins = string.sub(raw, at, finish - 1),
    }
    known = known and windows[n] and windows[n].length == length
    at = finish
  end
  if not known or n ~= #windows then
    logs = arrange(logs, windows, seq)
  end
  for i = 1, #windows do
    local log, limit = logs[i], windows[i].limit
    log.limit, room, smallest = limit, math.min(room, limit - log.total), math.min(smallest, limit)
  end
  return logs, room, smallest
end

-- pack_logs(logs): the reverse.
local function pack_logs(logs)
  local packed = {}
  for i = 1, #logs do
    local log = logs[i]
    packed[2 * i - 1] = struct.pack('>I4I4I6I6H', log.length, log.total, log.start, log.since, #log.bins / 10)
    packed[2 * i] = log.bins
  end
  return table.concat(packed)
end
