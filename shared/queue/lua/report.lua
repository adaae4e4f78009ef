--[[
report: active -> active
Keep what workers tell of jobs while they have them.

KEYS
  1 meta   hash   the partition; its tag is in every key
ARGV
  1 lines  count  of log kept of each job, the last ones
  2+              for each: id, epoch, seq, progress or '' for what it was, lines to add; as they are stored
RETURNS
  {id, ...}  the jobs that the caller holds no more; nothing is kept of what it told of them
DERIVED
  state reports
]]
-- @include redis/locals
-- @include queue/keys
-- @include queue/meta
-- @include queue/state
-- @include queue/holders
-- @include queue/last_lines
local jobs, words, ids, kept, lost = {}, {}, {}, {}, {}
for at = 2, #ARGV, 5 do
  jobs[#jobs + 1] = {
    id = ARGV[at], epoch = tonumber(ARGV[at + 1]), seq = tonumber(ARGV[at + 2]),
    progress = ARGV[at + 3], lines = ARGV[at + 4],
  }
end
local held = holders(meta(), jobs, words)
for n, job in ipairs(held) do
  ids[n] = job.id
end
local before = #ids > 0 and redis.call('HMGET', K.reports, unpack(ids))
for _, job in ipairs(held) do
  local raw = before[#kept / 2 + 1] or '\0\0'
  local length, at = unpack_bytes('>H', raw)
  local progress = job.progress ~= '' and job.progress or sub(raw, at, at + length - 1)
  local lines = last_lines(sub(raw, at + length) .. job.lines, tonumber(ARGV[1]))
  kept[#kept + 1] = job.id
  kept[#kept + 1] = pack_bytes('>H', #progress) .. progress .. lines
end
if #kept > 0 then
  redis.call('HSET', K.reports, unpack(kept))
end
for n, job in ipairs(jobs) do
  if words[n] == 'lease_lost' then
    lost[#lost + 1] = job.id
  end
end
return lost
