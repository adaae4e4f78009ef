-- shares(line, free): start-time fair queueing: how many of `free` jobs each of the tenants gets, {tag, weight}s
-- by rising tag, so that all who get one end at about the same tag, tag + share / weight.
local function shares(line, free)
  local weights, weighted, level = 0, 0, 0
  for i, tenant in ipairs(line) do
    if i > 1 and level <= tenant.tag then
      break
    end
    weights, weighted = weights + tenant.weight, weighted + tenant.weight * tenant.tag
    level = (free + weighted) / weights
  end
  for _, tenant in ipairs(line) do
    local share = math.floor((level - tenant.tag) * tenant.weight + 0.5)
    tenant.share = math.min(free, level > tenant.tag and math.max(1, share) or 0)
    free = free - tenant.share
  end
end
