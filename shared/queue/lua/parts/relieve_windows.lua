-- relieve_windows(subjects): relieves subjects with room in their windows now, and lanes that wait there because their
-- first job costs more than fits: at most 100 of each subject, the others when their time comes. True as for
-- `relieve`.
local function relieve_windows(subjects)
  local any = relieve(subjects)
  for name in pairs(subjects) do
    local lanes = {}
    for _, lane in ipairs(redis.call('SPOP', K.costly .. ':' .. name, 100)) do
      lanes[lane] = true
    end
    any = relieve(lanes) or any
  end
  return any
end
