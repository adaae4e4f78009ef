-- finish(m, known, now): the last writes of a call that moved jobs: the subjects' books, and the partition's own.
local function finish(m, known, now)
  write_books(known, now)
  if m.moved then
    m.last = now
    write_meta(m)
  end
end
