--[[
line: some of the jobs that wait in a lane, in the order they start in

KEYS
  1 meta   hash  the partition; its tag is in every key
ARGV
  1 lane   str
  2 first  int    how many entries of its line to leave out
  3 limit  count  of entries looked at
RETURNS
  {following, {id, state, lane, at, ...}}
    following: how many entries to leave out next, 0 after the last. state: as stored, '' for one that never ran.
    at, ms: when it was enqueued
DERIVED
  jobs state lane
]]
-- @include redis/locals
-- @include queue/keys
-- @include queue/record
-- @include queue/state
-- @include queue/lane_lists
-- @include queue/place
local first, left = tonumber(ARGV[2]), tonumber(ARGV[3])
local ids, priorities, seen, page = {}, {}, {}, {}
for priority, list in ipairs({lane_lists(ARGV[1])}) do
  local length = redis.call('LLEN', list)
  if first < length and left > 0 then
    for _, id in ipairs(redis.call('LRANGE', list, first, first + left - 1)) do
      ids[#ids + 1], priorities[#ids + 1] = id, priority - 1
    end
    left = tonumber(ARGV[3]) - #ids
  end
  first = max(0, first - length)
end
local raws = #ids > 0 and redis.call('HMGET', K.jobs, unpack(ids))
local states = #ids > 0 and redis.call('HMGET', K.state, unpack(ids))
for n, id in ipairs(ids) do
  local lane, priority
  if raws[n] then
    lane, priority = record(raws[n])
  end
  if lane == ARGV[1] and priority == priorities[n] and state(states[n]) == 'w' and not seen[id] then
    seen[id] = true
    place(page, id, raws[n], states[n])
  end
end
return {left > 0 and 0 or ARGV[2] + #ids, page}
