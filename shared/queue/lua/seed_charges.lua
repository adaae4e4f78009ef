--[[
seed_charges: what subjects were charged before this Redis knew of it
Part of an opening, after its configurations; charges in order of time.

KEYS
  1 meta   hash  the partition; its tag is in every key
ARGV
  1 now    ms     '' for the server's clock
  2 epoch  count  of the opening
  3 run    str    run id of the server that the caller's connection found
  4+              for each: subject, when charged in ms, cost
RETURNS
  'ok'
  'superseded'  another opening holds the partition, nothing changed
DERIVED
  config windows slots
]]
-- @include redis/locals
-- @include redis/clock
-- @include queue/keys
-- @include queue/meta
-- @include queue/opening
-- @include limits/log
-- @include limits/room
-- @include limits/charge
-- @include limits/recent
-- @include limits/shelf
-- @include limits/config
-- @include limits/windows
-- @include queue/learn
-- @include queue/books
local m, wanted = meta(), {names = {}, defaults = {}}
if not opens(m, ARGV[2], ARGV[3]) then
  return 'superseded'
end
local now = clock(ARGV[1], m.last)
local books = open_books(m, now)
for at = 4, #ARGV, 3 do
  local channel = string.match(ARGV[at], '/([^/]+)')
  local defaults = channel and '*/' .. channel
  if channel then
    ask(books, wanted, defaults, defaults)
  end
  ask(books, wanted, ARGV[at], defaults)
end
learn_subjects(books, wanted)
for at = 4, #ARGV, 3 do
  local subject, charged = books.subjects[ARGV[at]], tonumber(ARGV[at + 1])
  if subject and subject.windows then
    charge(fold(subject, now, books.seq), tonumber(ARGV[at + 2]), charged, charged, now)
    subject.room = room_in(subject.logs)
  end
end
close_books(books)
return 'ok'
