--[[
clean: completed or failed -> nothing
Forget jobs that finished a while ago, the oldest first. Their ids stay remembered.

KEYS
  1 meta   hash   the partition; its tag is in every key
ARGV
  1 now    ms     '' for the server's clock
  2 state  str    completed or failed
  3 age    ms     those that finished no less than so long ago
  4 limit  count  of jobs
RETURNS
  {id, ...}  the jobs that are gone; fewer than the limit: no other is that old
DERIVED
  jobs state reports completed failed
]]
-- @include redis/locals
-- @include redis/clock
-- @include queue/keys
-- @include queue/meta
-- @include queue/state
-- @include queue/retire
-- @include queue/age_out
local before, most = clock(ARGV[1], meta().last) - ARGV[3] + 1, tonumber(ARGV[4])
if ARGV[2] == 'failed' then
  return age_out_failed(before, most)
end
return age_out_completed(before, most)
