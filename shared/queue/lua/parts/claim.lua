-- claim(m, known, now, want): leases up to want.slots jobs to one worker: brings back what is due, then gives the
-- tenants in line their turns until the slots or the budget of looks are used up.
local function claim(m, known, now, want)
  if m.run ~= want.run then
    return {'closed'}
  elseif m.paused then
    return {'paused'}
  end
  local c = {known = known, now = now, version = want.version, lease = want.lease, free = want.slots}
  c.budget, c.vtime, c.seq = 2 * want.slots + 20, tonumber(m.vtime), m.seq + 1
  c.taken, c.states, c.leases, c.later, c.seen = {}, {}, {}, {}, {}
  c.parked, c.unserved, c.refused = {}, {}, {}
  local delayed, parked = head(K.delayed), head(K.parked)
  if delayed <= now then
    promote(redis.call('ZRANGE', K.delayed, '-inf', now, 'BYSCORE', 'LIMIT', 0, c.budget), m.vtime)
    delayed = head(K.delayed)
  end
  if parked <= now then
    unpark(now, c.budget, m.vtime)
  end
  local line
  while c.free > 0 and c.budget > 0 do
    line = turns(known, c.free, math.min(c.free, c.budget), now)
    if not line then
      break
    end
    c.budget = c.budget - math.max(1, #line)
    serve(c, line, draw(c, line))
  end
  write_leases(c)
  write_parked(c)
  if #c.states > 0 then
    m.vtime, m.seq, m.moved = string.format('%.17g', c.vtime), c.seq, true
  end
  parked = head(K.parked)
  local wake = math.min(delayed, parked)
  local more = c.free > 0 and (line or wake <= now)
  if c.free == 0 and (redis.call('EXISTS', K.ready) == 1 or wake <= now) then
    nudge()
  end
  return {'ok', more and 'more' or 'done', wake < math.huge and wake or '', m.seq, c.taken, m.epoch, now}
end
