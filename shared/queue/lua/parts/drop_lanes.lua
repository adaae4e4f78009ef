-- drop_lanes(limit): empties lanes, at most so many entries, and takes each from its place together with its last
-- entry: whoever comes to an empty lane gives it a place. The ids that it met.
local function drop_lanes(limit)
  local ids = {}
  while limit > 0 do
    local tenant = redis.call('ZRANGE', K.ready, 0, 0)[1]
    local parked = not tenant and redis.call('ZRANGE', K.parked, 0, 0)[1]
    if not tenant and not parked then
      break
    end
    local name = tenant or sub(parked, 2)
    local line = (tenant and K.ring or K.held) .. ':' .. name
    local alone = parked and sub(parked, 1, 1) == 'L'
    local lane = alone and name or redis.call('LINDEX', line, 0)
    local first, second, third, fourth = lane_lists(lane or '')
    local popped = lane and redis.call('LMPOP', 4, first, second, third, fourth, 'LEFT', 'COUNT', limit)
    for _, id in ipairs(popped and popped[2] or {}) do
      ids[#ids + 1] = id
    end
    if not lane or redis.call('EXISTS', first, second, third, fourth) == 0 then
      if lane and not alone then
        redis.call('LPOP', line)
      else
        redis.call('ZREM', tenant and K.ready or K.parked, tenant or parked)
      end
    elseif alone then
      redis.call('ZADD', K.parked, 0, parked) -- its next job may cost less
    end
    limit = limit - (popped and #popped[2] or 1)
  end
  return ids
end
