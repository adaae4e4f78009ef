-- meta(): what the partition knows of itself. run: the server run it is open on, false while it is closed. core:
-- epoch, number of the last token, latest time seen, virtual time of the fair queue; paused, and whether any
-- subject has a configuration.
local function meta()
  local found = redis.call('HMGET', K.meta, 'run', 'core')
  if not found[2] then
    return {run = false, epoch = 0, seq = 0, last = 0, vtime = 0, paused = false, rules = false}
  end
  local epoch, seq, last, vtime, paused, rules = struct.unpack('>I6I6I6dBB', found[2])
  return {
    run = found[1], epoch = epoch, seq = seq, last = last, vtime = vtime,
    paused = paused == 1, rules = rules == 1,
  }
end

-- write_meta(m): writes the core back.
local function write_meta(m)
  local core = struct.pack('>I6I6I6dBB', m.epoch, m.seq, m.last, m.vtime, m.paused and 1 or 0, m.rules and 1 or 0)
  redis.call('HSET', K.meta, 'core', core)
end
