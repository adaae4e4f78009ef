--[[
lane_counts: how long the lines of lanes are

KEYS
  1 meta  hash  the partition; its tag is in every key
ARGV
  1+            lanes
RETURNS
  {count, ...}  entries of all priorities, those of jobs that left among them
DERIVED
  lane
]]
-- @include queue/keys
-- @include queue/lane_lists
local counts = {}
for n, lane in ipairs(ARGV) do
  counts[n] = 0
  for _, list in ipairs({lane_lists(lane)}) do
    counts[n] = counts[n] + redis.call('LLEN', list)
  end
end
return counts
