--[[
promote: delayed -> waiting
Let delayed jobs wait in their lanes now.

KEYS
  1 meta  hash  the partition; its tag is in every key
ARGV
  1+            ids
RETURNS
  {id, ...}  the jobs that were delayed
DERIVED
  jobs state lane ring ready parked delayed wake
]]
-- @include redis/locals
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
-- @include queue/promote
local ids, seen = {}, {}
for _, id in ipairs(ARGV) do
  if not seen[id] and redis.call('ZSCORE', K.delayed, id) then
    seen[id], ids[#ids + 1] = true, id
  end
end
if #ids > 0 and promote(ids, meta().vtime) then
  nudge()
end
return ids
