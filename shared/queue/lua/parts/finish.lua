-- finish(m, known, now): the last writes of a call that moved jobs: the subjects' books, and the partition's clocks.
local function finish(m, known, now)
  write_books(known, now)
  if m.moved then
    redis.call('HSET', K.meta, 'last', now, 'vtime', m.vtime, 'seq', m.seq)
  end
end
