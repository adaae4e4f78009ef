-- record(raw): of a job as it was enqueued: lane, priority, cost, version, when it expires or nil, where in `raw`
-- the payload begins, when it was enqueued. The format is in shared/queue/codec.py.
local function record(raw)
  local enqueued, flags, version, priority, _, cost, length, at = unpack_bytes('>I6BBBBHB', raw)
  local expires, skipped
  if flags % 2 == 1 then
    expires, at = unpack_bytes('>I6', raw, at)
  end
  if flags % 4 >= 2 then
    at = at + 4 -- the timeout, which only the worker reads
  end
  if flags >= 4 then
    skipped, at = unpack_bytes('>I4', raw, at)
    at = at + skipped -- the annotations
  end
  return sub(raw, at, at + length - 1), priority, cost, version, expires, at + length, enqueued
end
