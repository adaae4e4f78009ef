-- room_in(logs): how much cost fits now.
local function room_in(logs)
  local room = math.huge
  for _, log in ipairs(logs) do
    room = math.min(room, log.limit - log.total)
  end
  return room
end

-- room_at(logs, cost, now): when a cost that does not fit now will; a whole length from now where it never would.
local function room_at(logs, cost, now)
  local latest = now
  for _, log in ipairs(logs) do
    local missing, at = log.total + cost - log.limit, 1
    local free_at = now
    while missing > 0 do
      if at > #log.bins then
        free_at = now + log.length
        break
      end
      local last, counted = struct.unpack('>I6I4', log.bins, at)
      missing, at, free_at = missing - counted, at + 10, last + log.length
    end
    latest = math.max(latest, free_at)
  end
  return latest
end
