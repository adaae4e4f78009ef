-- meta(): what the partition knows of itself; `run` is false while it is closed.
local function meta()
  local found = redis.call('HMGET', K.meta, 'epoch', 'run', 'last', 'vtime', 'seq', 'paused', 'opening')
  return {
    epoch = found[1],
    run = found[2],
    last = tonumber(found[3]) or 0,
    vtime = found[4] or '0',
    seq = tonumber(found[5]) or 0,
    paused = found[6],
    opening = found[7],
  }
end
