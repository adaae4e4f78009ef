--[[
settle: active -> completed, failed, delayed or waiting; and waiting -> active
End claimed jobs, and lease the next ones in the same call.

KEYS
  1 meta            hash  the partition; its tag is in every key
ARGV
  1 now             ms     '' for the server's clock
  2 run             str    run id of the server that the caller's connection found
  3 slots           count  how many jobs the worker can start; 0 claims nothing
  4 lease           ms     how long they are held
  5 version         count  the newest envelope the worker understands
  6 ttl             ms     how long ids are remembered
  7 keep_completed  count  of completed jobs kept
  8 keep_failed     count  of failed jobs kept
  9+                       for each: id, settlement, digest of the id, digest of id and payload
RETURNS
  {{word, ...}, claimed}  for each 'ok'; 'cancelled': it was, so it ended for good whatever its verdict; or
                          'lease_lost': the token does not hold the job, nothing changed; claimed as `claim` returns it, or ''
DERIVED
  jobs state reports lane ring ready parked held costly refused delayed active completed failed config windows slots ids wake
  events
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
-- @include queue/relieve_windows
-- @include queue/enlist
-- @include queue/nudge
-- @include queue/promote
-- @include queue/heads
-- @include limits/log
-- @include limits/room
-- @include limits/charge
-- @include limits/recent
-- @include limits/refund
-- @include limits/shelf
-- @include limits/config
-- @include limits/windows
-- @include limits/shut
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
-- @include queue/settlement
-- @include queue/holders
-- @include queue/fill
-- @include queue/free_slots
-- @include queue/refund_jobs
-- @include queue/retire
-- @include queue/settle
-- @include queue/tell
-- @include idempotency/shards
-- @include idempotency/remember
local m, jobs, words = meta(), {}, {}
local now, ttl = clock(ARGV[1], m.last), tonumber(ARGV[6])
local books = open_books(m, now)
for at = 9, #ARGV, 4 do
  jobs[#jobs + 1] = settlement(ARGV[at], ARGV[at + 1], ARGV[at + 2], ARGV[at + 3])
end
local held = holders(m, jobs, words)
local woken
if #held > 0 then
  for _, job in ipairs(held) do
    if job.close then
      m.rules, books.rules = true, true
      shut(job.close, job.close_until)
    end
  end
  local charged = fill(held)
  if #charged > 0 then
    local relieved = free_slots(charged)
    refund_jobs(books, charged, relieved)
    woken = relieve_windows(relieved)
  end
  local completed, failed, due, overruled, others = settle(held, m.vtime, now)
  for n, job in ipairs(overruled and jobs or {}) do
    words[n] = job.word or words[n]
  end
  remember(held, now, ttl)
  retire(completed, failed, now, tonumber(ARGV[7]), tonumber(ARGV[8]))
  tell(#completed - #(others.cancelled or {}), others)
  m.moved = true
  woken = woken or due
  if woken and ARGV[3] == '0' then
    nudge()
  end
end
local claimed = ''
if ARGV[3] ~= '0' then
  claimed = claim(m, books, {
    run = ARGV[2], slots = tonumber(ARGV[3]), lease = tonumber(ARGV[4]), version = tonumber(ARGV[5]), chain = woken
  })
end
finish(m, books)
return {words, claimed}
