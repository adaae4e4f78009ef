-- drop_logs(names, now): forgets the logs of subjects that nothing limits any more: what is charged from now on they
-- would not know, so they must not count when a limit comes back.
local function drop_logs(names, now)
  local limited, dropped = {}, {}
  for _, name in ipairs(names) do
    local channel = string.match(name, '/([^/]+)') or ''
    if limited[channel] == nil then
      limited[channel] = config(redis.call('HGET', K.config, '*/' .. channel)).windows ~= nil
    end
    if not limited[channel] then
      dropped[#dropped + 1] = name
    end
  end
  if #dropped > 0 then
    local generation = math.floor(now / GENERATION)
    redis.call('HDEL', K.windows .. ':' .. generation, unpack(dropped))
    redis.call('HDEL', K.windows .. ':' .. (generation - 1), unpack(dropped))
  end
end
