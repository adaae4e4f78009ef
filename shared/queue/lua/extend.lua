--[[
extend: active -> active
Hold claimed jobs for another lease.

KEYS
  1 meta   hash  the partition; its tag is in every key
ARGV
  1 now    ms     '' for the server's clock
  2 lease  ms     how long they are held from now
  3+              for each: id, epoch, seq
RETURNS
  {{id, ...}, {id, ...}}  the jobs that the caller holds no more, and those that it holds and that are cancelled
DERIVED
  state active
]]
-- @include redis/locals
-- @include redis/clock
-- @include queue/keys
-- @include queue/meta
-- @include queue/state
-- @include queue/holders
local m, jobs, words = meta(), {}, {}
local deadline = clock(ARGV[1], m.last) + tonumber(ARGV[2])
for at = 3, #ARGV, 3 do
  jobs[#jobs + 1] = {id = ARGV[at], epoch = tonumber(ARGV[at + 1]), seq = tonumber(ARGV[at + 2])}
end
local leases, lost, cancelled = {}, {}, {}
for _, job in ipairs(holders(m, jobs, words)) do
  leases[#leases + 1] = deadline
  leases[#leases + 1] = job.id
  if job.held >= CANCELLED then
    cancelled[#cancelled + 1] = job.id
  end
end
if #leases > 0 then
  redis.call('ZADD', K.active, 'XX', unpack(leases))
end
for n, job in ipairs(jobs) do
  if words[n] == 'lease_lost' then
    lost[#lost + 1] = job.id
  end
end
return {lost, cancelled}
