-- used(logs, now): of each window its length, its limit, the cost counted in it, and when the first of that leaves; now
-- where there is none.
local function used(logs, now)
  local found = {}
  for i, log in ipairs(logs) do
    local frees = log.bins ~= '' and struct.unpack('>I6', log.bins) + log.length or now
    for n, figure in ipairs({log.length, log.limit, log.total, frees}) do
      found[4 * i - 4 + n] = figure
    end
  end
  return found
end
