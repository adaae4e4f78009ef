--[[
cancel: waiting, delayed -> nothing; active -> active, to end
Take out jobs that no worker has. One that a worker has is marked: its worker is told when it extends the lease, and
however the job ends, it never runs again.

KEYS
  1 meta  hash  the partition; its tag is in every key
ARGV
  1+            ids
RETURNS
  {word, ...}  for each: 'removed'; 'cancelling': a worker has it; 'finished'; 'absent'
DERIVED
  jobs state reports parked delayed completed failed wake events
]]
-- @include redis/locals
-- @include queue/keys
-- @include queue/record
-- @include queue/state
-- @include queue/untaken
-- @include queue/relieve
-- @include queue/nudge
-- @include queue/retire
-- @include queue/take_out
-- @include queue/tell
local words, gone, delayed, left, marked, told, seen = {}, {}, {}, {}, {}, {}, {}
local raws, states = redis.call('HMGET', K.jobs, unpack(ARGV)), redis.call('HMGET', K.state, unpack(ARGV))
for n, id in ipairs(ARGV) do
  local letter, why = untaken(raws[n], states[n])
  words[n] = why or (seen[id] and 'absent') or 'removed'
  if why == 'active' then
    local _, attempt, stalls, seq, at, held = state(states[n])
    words[n], told[#told + 1] = 'cancelling', id
    marked[#marked + 1] = id
    marked[#marked + 1] = pack_state('a', attempt, stalls, seq, at, held % CANCELLED + CANCELLED)
  elseif words[n] == 'removed' then
    seen[id], gone[#gone + 1] = true, id
    if letter == 'd' then
      delayed[#delayed + 1] = id
    else
      left[(record(raws[n]))] = true
    end
  end
end
if #marked > 0 then
  redis.call('HSET', K.state, unpack(marked))
end
take_out(gone, delayed, left)
tell(0, {cancelled = gone, cancelling = told})
return words
