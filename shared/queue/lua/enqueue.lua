--[[
enqueue: nothing -> waiting, or delayed
Take in new jobs, each whole or not at all; a closed partition takes them too.

KEYS
  1 meta  hash  the partition; its tag is in every key
ARGV
  1 now   ms     '' for the server's clock
  2 ttl   ms     how long ids are remembered
  3+      jobs   for each: id, digest of the id, digest of id and payload, delay in ms, record
RETURNS
  {word, ...}  for each job: 'created'; 'duplicate': the id is known with this payload; 'conflict': with another
DERIVED
  jobs state lane ring ready parked delayed ids wake events
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
-- @include queue/tell
-- @include idempotency/shards
-- @include idempotency/recall
local m = meta()
local now, ttl = clock(ARGV[1], m.last), tonumber(ARGV[2])
local current, before = shards(now, ttl)
local ids, words, live, others = {}, {}, {}, {}
for i = 3, #ARGV, 5 do
  ids[#ids + 1] = ARGV[i]
end
local found = call('HMGET', K.jobs, unpack(ids))
local enqueued = pack_bytes('>I6', now)
local records, waiting, delays, states = {}, {}, {}, {}
for n, id in ipairs(ids) do
  local at = n * 5 - 2
  local first, second, delay, raw = ARGV[at + 1], ARGV[at + 2], tonumber(ARGV[at + 3]), enqueued .. ARGV[at + 4]
  local lane, priority, _, _, _, payload = record(raw)
  local known = found[n] or live[id]
  if known then
    local same = sub(known, (select(6, record(known)))) == sub(raw, payload)
    words[n] = same and 'duplicate' or 'conflict'
  else
    words[n] = recall(first, second, current, before)
  end
  if words[n] then
    others[words[n]] = others[words[n]] or {}
    table.insert(others[words[n]], id)
  else
    words[n], live[id] = 'created', raw
    records[#records + 1] = id
    records[#records + 1] = raw
    if delay > 0 then
      delays[#delays + 1] = now + delay
      delays[#delays + 1] = id
      states[#states + 1] = id
      states[#states + 1] = pack_state('d', 0, 0, 0, 0, 0)
    else
      waiting[#waiting + 1] = {id = id, lane = lane, priority = priority}
    end
  end
end
if #records > 0 then
  call('HSET', K.jobs, unpack(records))
end
local woken = enlist('RPUSH', waiting, m.vtime)
if #delays > 0 then
  call('HSET', K.state, unpack(states))
  call('ZADD', K.delayed, unpack(delays))
end
if woken or (#delays > 0 and live[call('ZRANGE', K.delayed, 0, 0)[1]]) then
  nudge()
end
tell(0, others)
return words
