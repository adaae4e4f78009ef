--[[
reap: active -> waiting; active -> active, to end
Take back jobs whose lease expired, to the heads of their lanes, and forget finished jobs that are too old.

KEYS
  1 meta        hash  the partition; its tag is in every key
ARGV
  1 now         ms     '' for the server's clock
  2 run         str    run id of the server that the caller's connection found
  3 limit       count  of leases taken back
  4 lease       ms     how long the caller holds what has stalled too often
  5 max_stalls  count  after so many a job is not run again
  6 keep_for    ms     how long finished jobs are kept
RETURNS
  {'closed'}  an opening must come first
  {'ok', {id, ...}, seq, {id, record, attempt, fate, ...}, epoch, now}
    the jobs that wait again; those that stalled too often or are cancelled, leased to the caller to settle as
    fate says: 'stalled', 'cancelled'
DERIVED
  jobs state reports lane ring ready parked delayed active completed failed slots wake events
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
-- @include queue/free_slots
-- @include queue/retire
-- @include queue/age_out
-- @include queue/lease
-- @include queue/tell
local m = meta()
if m.run ~= ARGV[2] then
  return {'closed'}
end
local now = clock(ARGV[1], m.last)
local c = {now = now, deadline = now + ARGV[4], seq = m.seq + 1, states = {}, leases = {}, later = {}, taken = {}}
local ids = redis.call('ZRANGE', K.active, '-inf', now, 'BYSCORE', 'LIMIT', 0, ARGV[3])
local jobs, back, waiting, _ = {}, {}, {}, nil
if #ids > 0 then
  local raws, states = redis.call('HMGET', K.jobs, unpack(ids)), redis.call('HMGET', K.state, unpack(ids))
  for n, id in ipairs(ids) do
    local job = {id = id}
    job.lane, job.priority = record(raws[n])
    _, job.attempt, job.stalls, _, _, job.held = state(states[n])
    jobs[n] = job
  end
  local relieved = relieve(free_slots(jobs))
  redis.call('ZREM', K.active, unpack(ids))
  for n, job in ipairs(jobs) do
    if job.held >= CANCELLED then
      lease(c, job.id, raws[n], job.attempt, job.stalls, CANCELLED, 'cancelled')
    elseif job.stalls >= tonumber(ARGV[5]) then
      lease(c, job.id, raws[n], job.attempt, job.stalls, 0, 'stalled')
    else
      c.states[#c.states + 1] = job.id
      c.states[#c.states + 1] = pack_state('w', math.max(0, job.attempt - 1), job.stalls + 1, 0, 0, 0)
      back[#back + 1] = job.id
      table.insert(waiting, 1, job)
    end
  end
  write_leases(c)
  if enlist('LPUSH', waiting, m.vtime) or relieved then
    nudge()
  end
  tell(0, {stalled = back})
  m.last, m.seq = now, c.seq
  write_meta(m)
end
age_out_completed(now - ARGV[6], tonumber(ARGV[3]))
age_out_failed(now - ARGV[6], tonumber(ARGV[3]))
return {'ok', back, c.seq, c.taken, m.epoch, now}
