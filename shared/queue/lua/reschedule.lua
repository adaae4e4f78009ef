--[[
reschedule: delayed -> delayed, and waiting -> delayed
Let jobs run no earlier than a time. What a lane's list still says of them is skipped when it is claimed.

KEYS
  1 meta  hash  the partition; its tag is in every key
ARGV
  1 at    ms    when they are due
  2+            ids
RETURNS
  {word, ...}  for each: 'changed'; 'active'; 'finished'; 'absent'
DERIVED
  jobs state parked delayed wake
]]
-- @include redis/locals
-- @include queue/keys
-- @include queue/record
-- @include queue/state
-- @include queue/untaken
-- @include queue/relieve
-- @include queue/nudge
local ids, words, due, changed, left, moved = {unpack(ARGV, 2)}, {}, {}, {}, {}, {}
local raws, states = redis.call('HMGET', K.jobs, unpack(ids)), redis.call('HMGET', K.state, unpack(ids))
for n, id in ipairs(ids) do
  local letter, why = untaken(raws[n], states[n])
  words[n] = why or 'changed'
  if letter then
    moved[id] = true
    due[#due + 1] = ARGV[1]
    due[#due + 1] = id
  end
  if letter == 'w' then
    local _, attempt, stalls, _, at = state(states[n])
    changed[#changed + 1] = id
    changed[#changed + 1] = pack_state('d', attempt, stalls, 0, at, 0)
    left[(record(raws[n]))] = true
  end
end
if #due > 0 then
  redis.call('ZADD', K.delayed, unpack(due))
  if #changed > 0 then
    redis.call('HSET', K.state, unpack(changed))
  end
  if relieve(left) or moved[redis.call('ZRANGE', K.delayed, 0, 0)[1]] then
    nudge()
  end
end
return words
