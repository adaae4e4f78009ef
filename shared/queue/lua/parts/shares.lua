-- shares(line, free): start-time fair queueing: how many of `free` jobs each of the tenants gets, {tag, weight}s
-- by rising tag, so that all who get one end at about the same tag, tag + share / weight.
local function shares(line, free)
  local weights, weighted, level = 0, 0, 0
  for i = 1, #line do
    local tenant = line[i]
    if i > 1 and level <= tenant.tag then
      break
    end
    weights, weighted = weights + tenant.weight, weighted + tenant.weight * tenant.tag
    level = (free + weighted) / weights
  end
  for i = 1, #line do
    local tenant = line[i]
    if free == 0 or level <= tenant.tag then
      break
    end
    tenant.share = min(free, max(1, floor((level - tenant.tag) * tenant.weight + 0.5)))
    free = free - tenant.share
  end
end
