--[[
configure: what is in force for subjects
Replace the configuration of subjects, and look again at lanes that wait because of them.

KEYS
  1 meta   hash  the partition; its tag is in every key
ARGV
  1 now    ms     '' for the server's clock
  2 epoch  count  of the opening this is part of, or '' for none
  3 run    str    run id of the server that the caller's connection found
  4+              for each: subject, configuration ('' for the ordinary one)
RETURNS
  'ok'
  'superseded'  another opening holds the partition, nothing changed
DERIVED
  config windows parked costly wake
]]
-- @include redis/clock
-- @include queue/keys
-- @include queue/meta
-- @include queue/opening
-- @include limits/config
-- @include limits/shelf
-- @include limits/drop_logs
-- @include queue/relieve
-- @include queue/relieve_windows
-- @include queue/nudge
local m = meta()
if ARGV[2] ~= '' and not opens(m, ARGV[2], ARGV[3]) then
  return 'superseded'
end
local set, unset, bare, subjects = {}, {}, {}, {}
for at = 4, #ARGV, 2 do
  local subject, raw = ARGV[at], ARGV[at + 1]
  if subject == '' then
    m.paused = raw ~= '' and string.byte(raw) % 2 == 1
  else
    subjects[subject] = true
    if raw == '' then
      unset[#unset + 1] = subject
    else
      set[#set + 1] = subject
      set[#set + 1] = raw
    end
    if not config(raw ~= '' and raw).windows then
      bare[#bare + 1] = subject
    end
  end
end
if #set > 0 then
  redis.call('HSET', K.config, unpack(set))
end
if #unset > 0 then
  redis.call('HDEL', K.config, unpack(unset))
end
drop_logs(bare, clock(ARGV[1], m.last))
m.rules = m.rules or #set > 0
write_meta(m)
relieve_windows(subjects)
nudge()
return 'ok'
