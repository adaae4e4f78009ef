-- drop_lanes(limit): empties lanes and takes them from the places they have, at most so many entries and places; the
-- ids that it met.
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
    if not popped and lane and not alone then
      redis.call('LPOP', line)
    elseif not popped then
      redis.call('ZREM', tenant and K.ready or K.parked, tenant or parked)
    end
    limit = limit - (popped and #popped[2] or 1)
  end
  return ids
end
