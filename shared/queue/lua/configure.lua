--[[
configure: what is in force for subjects
Replace the configuration of subjects, and look again at lanes that wait because of them.

KEYS
  1 meta   hash  the partition; its tag is in every key
ARGV
  1 epoch  count  of the opening this is part of, or '' for none
  2 run    str    run id of the server that the caller's connection found
  3+              for each: subject, configuration ('' for the ordinary one)
RETURNS
  'ok'
  'superseded'  another opening holds the partition, nothing changed
DERIVED
  config parked wake
]]
-- @include queue/keys
-- @include queue/meta
-- @include queue/opening
-- @include queue/relieve
-- @include queue/nudge
local m = meta()
if ARGV[1] ~= '' and not opens(m, ARGV[1], ARGV[2]) then
  return 'superseded'
end
local set, unset, subjects = {}, {}, {}
for at = 3, #ARGV, 2 do
  local subject, raw = ARGV[at], ARGV[at + 1]
  if subject == '' then
    m.paused = raw ~= '' and string.byte(raw) % 2 == 1
  elseif raw == '' then
    subjects[subject], unset[#unset + 1] = true, subject
  else
    subjects[subject], set[#set + 1] = true, subject
    set[#set + 1] = raw
  end
end
if #set > 0 then
  redis.call('HSET', K.config, unpack(set))
end
if #unset > 0 then
  redis.call('HDEL', K.config, unpack(unset))
end
m.rules = m.rules or #set > 0
write_meta(m)
relieve(subjects)
nudge()
return 'ok'
