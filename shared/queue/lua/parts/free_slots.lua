-- free_slots(jobs): frees what jobs held under caps; the subjects that have room now.
local function free_slots(jobs)
  local relieved = {}
  for _, job in ipairs(jobs) do
    local group, tenant = string.match(job.lane, '^(([^/]+)/[^/]+)/')
    for i, name in ipairs(group and {tenant, group, job.lane} or {job.lane}) do
      if math.floor(job.held / 2 ^ (i - 1)) % 2 == 1 then
        redis.call('ZREM', K.slots .. ':' .. name, job.id)
        relieved[name] = true
      end
    end
  end
  return relieved
end
