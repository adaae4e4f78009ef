--[[
timing: since when and until when a job is where it is

KEYS
  1 meta  hash  the partition; its tag is in every key
ARGV
  1 now   ms    '' for the server's clock
  2 id    str
RETURNS
  {}  there is no such job
  {now, at, claimed, stalls, epoch, seq}
    at, ms: when it was enqueued, is due, its lease ends, or it ended. claimed, ms: when its lease began; 0: nobody
    has it. epoch, seq: its token
DERIVED
  jobs state delayed active failed
]]
-- @include redis/locals
-- @include redis/clock
-- @include queue/keys
-- @include queue/meta
-- @include queue/record
-- @include queue/state
-- @include queue/place
local m, id, placed = meta(), ARGV[2], {}
local raw, raw_state = redis.call('HGET', K.jobs, id), redis.call('HGET', K.state, id)
if not raw then
  return {}
end
local letter, _, stalls, seq, at = state(raw_state)
local key = ({d = K.delayed, a = K.active, f = K.failed})[letter]
place(placed, id, raw, raw_state, key and redis.call('ZSCORE', key, id))
return {clock(ARGV[1], m.last), placed[4], letter == 'a' and at or 0, stalls, m.epoch, seq}
