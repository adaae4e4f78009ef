-- recall(first, second, now, ttl): 'duplicate' or 'conflict' for an id that is remembered, else nil.
local function recall(first, second, now, ttl)
  local generation = floor(now / ttl)
  for age = 0, 1 do
    local known = call('SMISMEMBER', shard_of(first, generation - age), first, second)
    if known[1] == 1 then
      return known[2] == 1 and 'duplicate' or 'conflict'
    end
  end
end
