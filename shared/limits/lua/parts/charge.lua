-- charge(logs, cost, now): counts a cost in every window; the caller has seen that there is room.
local function charge(logs, cost, now)
  for _, log in ipairs(logs) do
    local bins = log.bins
    log.total = log.total + cost
    if bins ~= '' and now - log.start < log.length / 64 then
      local last, counted = struct.unpack('>I6I4', bins, #bins - 9)
      log.bins = string.sub(bins, 1, -11) .. struct.pack('>I6I4', math.max(now, last), counted + cost)
    else
      log.bins = bins .. struct.pack('>I6I4', now, cost)
      log.start = now
    end
  end
end
