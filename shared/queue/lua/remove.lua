--[[
remove: waiting, delayed, completed or failed -> nothing
Take jobs out; not active ones. What a lane's list still says of them is skipped when it is claimed.

KEYS
  1 meta  hash  the partition; its tag is in every key
ARGV
  1+            ids
RETURNS
  {word, ...}  for each: 'removed'; 'active': only its worker ends it; 'absent'
DERIVED
  jobs state reports parked delayed completed failed wake events
]]
-- @include redis/locals
-- @include queue/keys
-- @include queue/record
-- @include queue/state
-- @include queue/relieve
-- @include queue/nudge
-- @include queue/retire
-- @include queue/take_out
-- @include queue/tell
local words, gone, lists, left, seen = {}, {}, {d = {}, f = {}, c = {}, w = {}}, {}, {}
local raws, states = redis.call('HMGET', K.jobs, unpack(ARGV)), redis.call('HMGET', K.state, unpack(ARGV))
for n, id in ipairs(ARGV) do
  local letter = state(states[n])
  if letter == 'a' then
    words[n] = 'active'
  elseif not raws[n] or seen[id] then
    words[n] = 'absent'
  else
    words[n], seen[id], gone[#gone + 1] = 'removed', true, id
    table.insert(lists[letter], id)
    if letter == 'w' then
      left[(record(raws[n]))] = true
    end
  end
end
if #lists.f > 0 then
  redis.call('ZREM', K.failed, unpack(lists.f))
end
for _, id in ipairs(lists.c) do
  redis.call('LREM', K.completed, 1, id) -- no longer than what is kept
end
take_out(gone, lists.d, left)
tell(0, {removed = gone})
return words
