-- remember(first, second, now, ttl): remembers a pair of digests for ttl to 2 ttl.
local function remember(first, second, now, ttl)
  local generation = math.floor(now / ttl)
  local shard = shard_of(first, generation)
  redis.call('SADD', shard, first, second)
  if redis.call('SCARD', shard) == 2 then
    redis.call('PEXPIRE', shard, (generation + 2) * ttl - now)
  end
end
