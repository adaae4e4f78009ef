-- nudge(): wakes one worker that waits; a nudge nobody waits for stays until one does.
local function nudge()
  redis.call('ZADD', K.wake, 0, 'work')
end
