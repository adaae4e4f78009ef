-- unpark(now, most, vtime): lanes whose time has come back into their rings, about `most` at once: of a subject
-- with many, some, and it stays due.
local function unpark(now, most, vtime)
  local due = redis.call('ZRANGE', K.parked, '-inf', now, 'BYSCORE', 'LIMIT', 0, most)
  local lanes, gone = {}, {}
  for _, member in ipairs(due) do
    local name = string.sub(member, 2)
    local back, all = {name}, true
    if string.sub(member, 1, 1) == 'S' then
      back = redis.call('LPOP', K.held .. ':' .. name, most) or {}
      all = #back < most
    end
    for _, lane in ipairs(back) do
      lanes[#lanes + 1] = lane
    end
    if all then
      gone[#gone + 1] = member
    end
    if #lanes >= most then
      break
    end
  end
  if #gone > 0 then
    redis.call('ZREM', K.parked, unpack(gone))
  end
  ready(lanes, vtime)
end
