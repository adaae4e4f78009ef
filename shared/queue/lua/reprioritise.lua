--[[
reprioritise: waiting -> waiting, and delayed -> delayed
Give jobs another priority. One that waits goes to the tail of that priority's list; its old entry is stale.

KEYS
  1 meta      hash   the partition; its tag is in every key
ARGV
  1 priority  count  the lowest runs first
  2+                 ids
RETURNS
  {word, ...}  for each: 'changed'; 'unchanged': it has this priority; 'active'; 'finished'; 'absent'
DERIVED
  jobs state lane ring ready parked wake
]]
-- @include redis/locals
-- @include queue/keys
-- @include queue/meta
-- @include queue/record
-- @include queue/state
-- @include queue/untaken
-- @include queue/lane_lists
-- @include queue/ring_of
-- @include queue/ready
-- @include queue/relieve
-- @include queue/enlist
-- @include queue/nudge
local ids, words, waiting, records, left, seen = {unpack(ARGV, 2)}, {}, {}, {}, {}, {}
local raws, states = redis.call('HMGET', K.jobs, unpack(ids)), redis.call('HMGET', K.state, unpack(ids))
local wanted = tonumber(ARGV[1])
for n, id in ipairs(ids) do
  local letter, why = untaken(raws[n], states[n])
  if not letter then
    words[n] = why
  elseif seen[id] or select(2, record(raws[n])) == wanted then
    words[n] = 'unchanged'
  else
    words[n], seen[id] = 'changed', true
    records[#records + 1] = id
    records[#records + 1] = sub(raws[n], 1, 8) .. string.char(wanted) .. sub(raws[n], 10)
    if letter == 'w' then
      local lane = record(raws[n])
      waiting[#waiting + 1], left[lane] = {id = id, lane = lane, priority = wanted}, true
    end
  end
end
if #records > 0 then
  redis.call('HSET', K.jobs, unpack(records))
end
local woken = enlist('RPUSH', waiting, meta().vtime)
if relieve(left) or woken then -- the next in line may be another, and cost less
  nudge()
end
return words
