-- relieve(subjects): looks again, at once, at lanes that were parked because of subjects with room now; true if there
-- were any: a worker may have to be woken.
local function relieve(subjects)
  local members = {}
  for name in pairs(subjects) do
    for _, kind in ipairs({'L', 'S'}) do
      members[#members + 1] = 0
      members[#members + 1] = kind .. name
    end
  end
  return #members > 0 and redis.call('ZADD', K.parked, 'XX', 'CH', unpack(members)) > 0
end
