-- lane_lists(lane): the keys of its lists, one a priority, the first to run first.
local function lane_lists(lane)
  local stem = K.lane .. ':' .. lane .. ':'
  return stem .. '0', stem .. '1', stem .. '2', stem .. '3'
end
