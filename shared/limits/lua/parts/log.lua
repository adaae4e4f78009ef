-- The log of a window: a charge goes into the open bin while less than length/64 has passed since the bin's
-- first charge, else into a new one; a bin leaves whole when its last charge is a length old. So what is
-- counted is never less than what was charged in the last length, and at most length/64 longer.

-- unpack_logs(raw, now): the stored logs, rid of bins that left. Of each: length 4, total 4, first charge of the open
-- bin 6, the token that it knows charges from 6, number of bins 2, and of a bin its last charge 6, cost 4. Only the
-- bins at its ends are ever read.
local function unpack_logs(raw, now)
  local logs, at = {}, 1
  while at <= #raw do
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
    logs[#logs + 1] = {
      length = length, limit = 0, total = total, start = start, since = since, bins = string.sub(raw, at, finish - 1),
    }
    at = finish
  end
  return logs
end

-- arrange(stored, windows, seq): the stored log of each {length, limit}; a new one where there is none, which knows
-- only of charges from token `seq` on.
local function arrange(stored, windows, seq)
  local logs = {}
  for i = 1, #windows do
    local window, log = windows[i], stored[i]
    if not log or log.length ~= window.length then
      log = {length = window.length, limit = 0, total = 0, start = 0, since = seq, bins = ''}
      for _, each in ipairs(stored) do
        if each.length == window.length then
          log = each
        end
      end
    end
    log.limit, logs[i] = window.limit, log
  end
  return logs
end

-- pack_logs(logs): the reverse of `unpack_logs`.
local function pack_logs(logs)
  local packed = {}
  for i = 1, #logs do
    local log = logs[i]
    packed[2 * i - 1] = struct.pack('>I4I4I6I6H', log.length, log.total, log.start, log.since, #log.bins / 10)
    packed[2 * i] = log.bins
  end
  return table.concat(packed)
end
