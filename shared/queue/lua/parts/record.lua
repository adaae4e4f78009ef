-- record(raw): a job as it was enqueued; the format is in shared/queue/codec.py.
local function record(raw)
  local enqueued, flags, version, priority, attempts, cost, length, at = struct.unpack('>I6BBBBHB', raw)
  local expires
  if flags % 2 == 1 then
    expires, at = struct.unpack('>I6', raw, at)
  end
  if flags % 4 >= 2 then
    at = at + 4 -- the timeout, which only the worker reads
  end
  if flags % 8 >= 4 then
    local annotations
    annotations, at = struct.unpack('>I4', raw, at)
    at = at + annotations
  end
  return {
    enqueued = enqueued,
    version = version,
    priority = priority,
    cost = cost,
    expires = expires,
    lane = string.sub(raw, at, at + length - 1),
    payload_at = at + length,
  }
end
