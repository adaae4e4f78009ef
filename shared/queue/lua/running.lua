--[[
running: how many jobs of a tenant are active
Of so many active jobs, those whose leases end first before the others.

KEYS
  1 meta    hash   the partition; its tag is in every key
ARGV
  1 tenant  str
  2 limit   count  of active jobs looked at
RETURNS
  {count, active}  of the tenant's among those looked at; of all that are active
DERIVED
  jobs active
]]
-- @include redis/locals
-- @include queue/keys
-- @include queue/record
local count, ids = 0, redis.call('ZRANGE', K.active, 0, ARGV[2] - 1)
for _, raw in ipairs(#ids > 0 and redis.call('HMGET', K.jobs, unpack(ids)) or {}) do
  if raw and match((record(raw)), '^[^/]+') == ARGV[1] then
    count = count + 1
  end
end
return {count, redis.call('ZCARD', K.active)}
