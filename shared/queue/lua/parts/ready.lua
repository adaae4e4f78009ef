-- ready(lanes, vtime): lanes that became able to run join their tenants' rings, and the tenants the line. A
-- tenant that is still in the line keeps its place, so coming and going wins no turn.
local function ready(lanes, vtime)
  local tags = {}
  for _, lane in ipairs(lanes) do
    local ring, tenant = ring_of(lane)
    redis.call('RPUSH', ring, lane)
    tags[#tags + 1] = vtime
    tags[#tags + 1] = tenant
  end
  if #tags > 0 then
    redis.call('ZADD', K.ready, 'NX', unpack(tags))
  end
end
