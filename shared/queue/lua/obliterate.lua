--[[
obliterate: any state -> nothing
Take every job out of a paused partition, some a call. What is in force, what was charged, remembered ids and the
epoch stay, so limits and fencing hold for whatever comes next.

KEYS
  1 meta   hash   the partition; its tag is in every key
ARGV
  1 limit  count  of jobs; 0: only say whether it may be
  2 force  str    'force': active ones too, whose workers then lose them; or ''
RETURNS
  {word, {id, ...}}  and the jobs that are gone
    'serving': it must be paused first; 'active': jobs are; nothing changed. 'more': call again. 'done'
DERIVED
  jobs state reports lane ring ready parked held delayed active completed failed slots events
]]
-- @include redis/locals
-- @include queue/keys
-- @include queue/meta
-- @include queue/record
-- @include queue/state
-- @include queue/lane_lists
-- @include queue/relieve
-- @include queue/free_slots
-- @include queue/retire
-- @include queue/drop_lanes
-- @include queue/tell
local gone, seen, left = {}, {}, tonumber(ARGV[1])
if not meta().paused then
  return {'serving', gone}
elseif ARGV[2] == '' and redis.call('EXISTS', K.active) == 1 then
  return {'active', gone}
elseif left == 0 then
  return {'more', gone}
end
local ids = redis.call('ZRANGE', K.active, 0, left - 1)
if #ids > 0 then
  local raws, states, jobs = redis.call('HMGET', K.jobs, unpack(ids)), redis.call('HMGET', K.state, unpack(ids)), {}
  for n, id in ipairs(ids) do
    jobs[n] = {id = id, lane = record(raws[n]), held = select(6, state(states[n]))}
  end
  relieve(free_slots(jobs)) -- what is left, or comes, need not wait for slots that nobody gives back any more
  redis.call('ZREM', K.active, unpack(ids))
end
for _, key in ipairs({K.failed, K.delayed}) do
  local popped = left > #ids and redis.call('ZPOPMIN', key, left - #ids) or {}
  for at = 1, #popped, 2 do
    ids[#ids + 1] = popped[at]
  end
end
for _, id in ipairs(left > #ids and redis.call('LPOP', K.completed, left - #ids) or {}) do
  ids[#ids + 1] = id
end
for _, id in ipairs(left > #ids and drop_lanes(left - #ids) or {}) do
  ids[#ids + 1] = id
end
for n, raw in ipairs(#ids > 0 and redis.call('HMGET', K.jobs, unpack(ids)) or {}) do
  if raw and not seen[ids[n]] then -- an id may have stale entries
    seen[ids[n]], gone[#gone + 1] = true, ids[n]
  end
end
forget(ids)
tell(0, {removed = gone})
return {redis.call('EXISTS', K.jobs, K.ready, K.parked) > 0 and 'more' or 'done', gone}
