-- clock(given, last): the time in ms: as given by a test, else the server's, and never before `last`.
local function clock(given, last)
  local now = tonumber(given)
  if not now then
    local time = redis.call('TIME')
    now = time[1] * 1000 + math.floor(time[2] / 1000)
  end
  return math.max(now, last)
end
