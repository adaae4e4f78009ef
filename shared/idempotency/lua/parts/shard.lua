-- shard_of(first, generation): the key of the intset that remembers a digest.
local function shard_of(first, generation)
  return K.ids .. ':' .. generation .. ':' .. sub(first, -4)
end
