-- take_out(gone, delayed, left): forgets jobs, of which some were delayed, and has the lanes that others left looked at
-- again: the next in line may cost less.
local function take_out(gone, delayed, left)
  if #delayed > 0 then
    redis.call('ZREM', K.delayed, unpack(delayed))
  end
  forget(gone)
  if relieve(left) then
    nudge()
  end
end
