-- charge(logs, cost, first, last, now): counts a cost that was charged from one time to another in every window that
-- it has not left yet. The times are less than length/64 apart, and nothing later was charged before.
local function charge(logs, cost, first, last, now)
  for i = 1, #logs do
    local log = logs[i]
    local bins = log.bins
    if last + log.length > now then
      log.total = log.total + cost
      if bins ~= '' and last - log.start < log.length / 64 then
        local before, counted = struct.unpack('>I6I4', bins, #bins - 9)
        log.bins = string.sub(bins, 1, -11) .. struct.pack('>I6I4', math.max(last, before), counted + cost)
      else
        log.bins = bins .. struct.pack('>I6I4', last, cost)
        log.start = first
      end
    end
  end
end
