--[[
drain: waiting, or delayed -> nothing
Take out jobs that no worker has, some a call, or only look which they are. What lanes' lists still say of them is
skipped when it is claimed.

KEYS
  1 meta     hash   the partition; its tag is in every key
ARGV
  1 cursor   str    '0', or what the last call returned
  2 limit    count  of jobs looked at
  3 tenant   str    whose jobs, or '' for all
  4 delayed  str    'delayed': those too; or ''
  5 look     str    'look': change nothing; or ''
RETURNS
  {cursor, {id, ...}}  cursor '0' after the last; the jobs that are gone, or would be
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
local scanned = redis.call('HSCAN', K.jobs, ARGV[1], 'COUNT', ARGV[2])
local ids, raws, gone, delayed, left, seen = {}, {}, {}, {}, {}, {}
for at = 1, #scanned[2], 2 do
  ids[#ids + 1], raws[#raws + 1] = scanned[2][at], scanned[2][at + 1]
end
local states = #ids > 0 and redis.call('HMGET', K.state, unpack(ids))
for n, id in ipairs(ids) do
  local letter = untaken(raws[n], states[n])
  local lane = record(raws[n])
  local theirs = ARGV[3] == '' or match(lane, '^[^/]+') == ARGV[3]
  if theirs and not seen[id] and (letter == 'w' or (letter == 'd' and ARGV[4] == 'delayed')) then
    seen[id], gone[#gone + 1] = true, id
    if letter == 'd' then
      delayed[#delayed + 1] = id
    else
      left[lane] = true
    end
  end
end
if ARGV[5] == '' then
  take_out(gone, delayed, left)
  tell(0, {removed = gone})
end
return {scanned[1], gone}
