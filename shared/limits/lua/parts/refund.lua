-- refund(logs, cost, age, seq): takes a charge of that age, in ms, made under that token, back out of the windows
-- longer than it that knew of it; from the oldest bins, since out of the newest it would admit more than the limit
-- in some window.
local function refund(logs, cost, age, seq)
  for _, log in ipairs(logs) do
    local left = (log.length > age and log.since <= seq) and cost or 0
    while left > 0 and log.bins ~= '' do
      local last, counted = struct.unpack('>I6I4', log.bins)
      local back = math.min(left, counted)
      log.bins = string.sub(log.bins, 11)
      if back < counted then
        log.bins = struct.pack('>I6I4', last, counted - back) .. log.bins
      end
      log.total, left = log.total - back, left - back
    end
  end
end
