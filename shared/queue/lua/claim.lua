--[[
claim: waiting -> active
Lease jobs to one worker: fair among tenants, first come in a lane, every limit charged.

KEYS
  1 meta     hash  the partition; its tag is in every key
ARGV
  1 now      ms     '' for the server's clock
  2 run      str    run id of the server that the caller's connection found
  3 slots    count  how many jobs the worker can start
  4 lease    ms     how long they are held
  5 version  count  the newest envelope the worker understands
  6 pause    str    'heeded', or 'passed' by whoever processes by hand: the queue's alone, not its tenants'
RETURNS
  {'closed'}  an opening must come first
  {'paused'}  the queue is
  {'ok', 'more' or 'done', wake, seq, {id, record, attempt, fate, ...}, epoch, now}
    more: the budget of looks ran out before the search did. wake, ms: when to look again, or ''. seq: with the
    epoch, the token. fate: '', or why the job can only fail ('expired', 'version', 'cost'): settle it so.
DERIVED
  jobs state lane ring ready parked held costly refused delayed active config windows slots wake
]]
-- @include redis/locals
-- @include redis/clock
-- @include queue/keys
-- @include queue/meta
-- @include queue/record
-- @include queue/state
-- @include queue/lane_lists
-- @include queue/ring_of
-- @include queue/ready
-- @include queue/relieve
-- @include queue/enlist
-- @include queue/nudge
-- @include queue/promote
-- @include queue/heads
-- @include limits/log
-- @include limits/room
-- @include limits/charge
-- @include limits/recent
-- @include limits/shelf
-- @include limits/config
-- @include limits/windows
-- @include queue/learn
-- @include queue/learn_lanes
-- @include queue/admission
-- @include queue/take
-- @include queue/books
-- @include queue/shares
-- @include queue/turns
-- @include queue/park
-- @include queue/unpark
-- @include queue/draw
-- @include queue/lease
-- @include queue/judge
-- @include queue/leave
-- @include queue/serve
-- @include queue/claim
-- @include queue/finish
local m = meta()
local books = open_books(m, clock(ARGV[1], m.last))
local want = {
  run = ARGV[2], slots = tonumber(ARGV[3]), lease = tonumber(ARGV[4]), version = tonumber(ARGV[5]),
  passes = ARGV[6] == 'passed', chain = true,
}
local claimed = claim(m, books, want)
finish(m, books)
return claimed
