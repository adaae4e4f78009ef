-- claim(m, books, want): leases up to want.slots jobs to one worker: brings back what is due, then gives the
-- tenants in line their turns until the slots or the budget of looks are used up.
local function claim(m, books, want)
  if m.run ~= want.run then
    return {'closed'}
  elseif m.paused and not want.passes then
    return {'paused'}
  end
  local now = books.now
  local c = {
    books = books, now = now, version = want.version, deadline = now + want.lease, free = want.slots,
    budget = 2 * want.slots + 20, vtime = m.vtime, seq = books.seq, taken = {}, states = {}, leases = {},
    later = {}, seen = {}, parked = false, unserved = false, refused = false, costly = false,
  }
  local delayed, parked, chain, line = head(K.delayed), head(K.parked), want.chain, nil
  if delayed <= now then
    promote(redis.call('ZRANGE', K.delayed, '-inf', now, 'BYSCORE', 'LIMIT', 0, c.budget), m.vtime)
    delayed, parked, chain = head(K.delayed), head(K.parked), true -- a lane may have been relieved
  end
  if parked <= now then
    unpark(now, c.budget, m.vtime)
    chain = true
  end
  while c.free > 0 and c.budget > 0 do
    line = turns(books, c.free, math.min(c.free, c.budget))
    if not line then
      break
    end
    c.budget = c.budget - math.max(1, #line)
    serve(c, line, draw(c, line))
  end
  write_leases(c)
  if #c.states > 0 then
    m.vtime, m.seq, m.moved = c.vtime, c.seq, true
  end
  if c.parked or parked <= now then
    write_parked(c)
    parked = head(K.parked)
  end
  local wake = math.min(delayed, parked)
  local more = c.free > 0 and (line or wake <= now)
  -- Whoever is full hands on: work there is, or a time sooner than an idle worker looks by itself.
  if c.free == 0 and (chain and (wake <= now or anybody_waits()) or want.chain and wake <= now + 1000) then
    nudge()
  end
  return {'ok', more and 'more' or 'done', wake < math.huge and wake or '', m.seq, c.taken, m.epoch, now}
end
