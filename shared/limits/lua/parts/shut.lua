-- shut(subject, until_ms): the subject admits nothing until then, or until later if it already was shut for longer.
local function shut(subject, until_ms)
  local c = config(redis.call('HGET', K.config, subject))
  c.until_ms = math.max(c.until_ms, until_ms)
  redis.call('HSET', K.config, subject, pack_config(c))
end
