-- relieve(subjects): looks again, at once, at lanes that were parked because of subjects with room now.
local function relieve(subjects)
  local members = {}
  for name in pairs(subjects) do
    for _, kind in ipairs({'L', 'S'}) do
      members[#members + 1] = 0
      members[#members + 1] = kind .. name
    end
  end
  if #members > 0 then
    redis.call('ZADD', K.parked, 'XX', unpack(members))
  end
end
