--[[
runnable: how many jobs wait in lanes that nothing holds back
Of some tenants that stand in line, those whose turn is next first.

KEYS
  1 meta     hash  the partition; its tag is in every key
ARGV
  1 first    int   how many tenants of the line to leave out
  2 tenants  int   how many to look at
RETURNS
  {line, lane, count, ...}
    line   how many tenants stand in it
    count  of each tenant at most 10 lanes, which then stand for all that it has
DERIVED
  lane ring ready
]]
-- @include queue/keys
-- @include queue/lane_lists
local found = {redis.call('ZCARD', K.ready)}
local first = tonumber(ARGV[1])
for _, tenant in ipairs(redis.call('ZRANGE', K.ready, first, first + ARGV[2] - 1)) do
  local ring = K.ring .. ':' .. tenant
  local lanes = redis.call('LRANGE', ring, 0, 9)
  local all = #lanes == 10 and redis.call('LLEN', ring) or #lanes
  for _, lane in ipairs(lanes) do
    local count = 0
    for _, list in ipairs({lane_lists(lane)}) do
      count = count + redis.call('LLEN', list)
    end
    found[#found + 1] = lane
    found[#found + 1] = math.ceil(count * all / #lanes)
  end
end
return found
