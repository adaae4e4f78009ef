-- The log of a window: a charge goes into the open bin while less than length/64 has passed since the bin's
-- first charge, else into a new one; a bin leaves whole when its last charge is a length old. So what is
-- counted is never less than what was charged in the last length, and at most length/64 longer.

-- read_logs(raw, windows, now, seq): a log for each {length, limit}, rid of bins that left; a new one knows only of
-- charges from token `seq` on. Of a log only the bins at its ends are ever read.
local function read_logs(raw, windows, now, seq)
  local logs, found, at = {}, {}, 1
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
    found[length] = {
      length = length, limit = 0, total = total, start = start, since = since,
      bins = string.sub(raw, at, finish - 1),
    }
    at = finish
  end
  for i, window in ipairs(windows) do
    local length = window.length
    local log = found[length] or {length = length, limit = 0, total = 0, start = 0, since = seq, bins = ''}
    log.limit, logs[i] = window.limit, log
  end
  return logs
end

-- pack_logs(logs): the reverse.
local function pack_logs(logs)
  local packed = {}
  for i, log in ipairs(logs) do
    local bins = log.bins
    packed[2 * i - 1] = struct.pack('>I4I4I6I6H', log.length, log.total, log.start, log.since, #bins / 10)
    packed[2 * i] = bins
  end
  return table.concat(packed)
end
