-- finish(m, books): the last writes of a call that moved jobs: the subjects' books, and the partition's own.
local function finish(m, books)
  close_books(books)
  if m.moved then
    m.last = books.now
    write_meta(m)
  end
end
