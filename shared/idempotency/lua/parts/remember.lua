-- remember(first, second, now, ttl): remembers a pair of digests for ttl to 2 ttl.
local function remember(first, second, now, ttl)
  local generation = floor(now / ttl)
  local shard = shard_of(first, generation)
  call('SADD', shard, first, second)
  if call('SCARD', shard) == 2 then
    call('PEXPIRE', shard, (generation + 2) * ttl - now)
  end
end
