-- shards(now, ttl): what the keys of the intsets begin with that remember digests now, and those of before.
local function shards(now, ttl)
  local generation = floor(now / ttl)
  local stem = K.ids .. ':'
  return stem .. generation .. ':', stem .. (generation - 1) .. ':'
end
