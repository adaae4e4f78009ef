-- lane_lists(lane): the keys of its lists, one a priority, the first to run first.
local function lane_lists(lane)
  local stem = K.lane .. ':' .. lane .. ':'
  return stem .. '0', stem .. '1', stem .. '2', stem .. '3'
end

-- ring_of(lane): the key of its tenant's ring of lanes, and the tenant.
local function ring_of(lane)
  local tenant = string.match(lane, '^[^/]+')
  return K.ring .. ':' .. tenant, tenant
end
