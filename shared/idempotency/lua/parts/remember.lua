-- remember(jobs, now, ttl): remembers the digests of the jobs that ended, {verdict, first, second}s, for ttl to 2 ttl.
local function remember(jobs, now, ttl)
  local current = shards(now, ttl)
  for n = 1, #jobs do
    local job = jobs[n]
    if job.verdict == 'c' or job.verdict == 'f' then
      local shard = current .. sub(job.first, -4)
      call('SADD', shard, job.first, job.second)
      if call('SCARD', shard) == 2 then
        call('PEXPIRE', shard, (floor(now / ttl) + 2) * ttl - now)
      end
    end
  end
end
