-- subjects_of(lane): what a job of the lane is charged to, from wide to narrow: the tenant, the tenant's channel,
-- the lane; of a lane without channel the tenant alone.
local function subjects_of(lane)
  local channel, tenant = string.match(lane, '^(([^/]+)/[^/]+)/')
  if channel then
    return {tenant, channel, lane}
  end
  return {lane}
end

-- defaults_of(subject): the subject whose windows hold where a subject has none of its own.
local function defaults_of(subject)
  local channel = string.match(subject, '^[^*/][^/]*/([^/]+)')
  return channel and '*/' .. channel
end
