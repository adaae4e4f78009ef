-- ring_of(lane): the key of its tenant's ring of lanes, and the tenant.
local function ring_of(lane)
  local tenant = string.match(lane, '^[^/]+')
  return K.ring .. ':' .. tenant, tenant
end
