--[[
pause: a queue or a tenant stops being served, or is served again
Everything else that is in force for the subject stays; its jobs stay waiting.

KEYS
  1 meta     hash  the partition; its tag is in every key
ARGV
  1 subject  str   '' for the whole queue
  2 paused   str   'paused' or 'resumed'
RETURNS
  'ok'
DERIVED
  config parked wake
]]
-- @include queue/keys
-- @include queue/meta
-- @include limits/config
-- @include queue/relieve
-- @include queue/nudge
local m, subject, paused = meta(), ARGV[1], ARGV[2] == 'paused'
if subject == '' then
  m.paused = paused
else
  local c = config(redis.call('HGET', K.config, subject))
  c.flags = c.flags - c.flags % 2 + (paused and 1 or 0)
  redis.call('HSET', K.config, subject, pack_config(c))
  m.rules = true
  relieve({[subject] = true})
end
write_meta(m)
if not paused then
  nudge()
end
return 'ok'
