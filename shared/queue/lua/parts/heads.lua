-- head(key): the score of the first of a zset, infinite if it has none.
local function head(key)
  return tonumber(redis.call('ZRANGE', key, 0, 0, 'WITHSCORES')[2]) or math.huge
end
