-- state(raw): where a job is and what it went through: letter, attempt, stalls, seq, at, held. A job without state
-- waits and has never run.
-- letter: w waiting, d delayed, a active, c completed, f failed. at, ms: when claimed, when finished, or when
-- first found to be of a newer version. held: which of its lane's subjects it holds a slot of, a bit each; and
-- CANCELLED, of an active job that ends for good however it ends.
local function state(raw)
  if not raw then
    return 'w', 0, 0, 0, 0, 0
  end
  return unpack_bytes('>c1BBI6I6B', raw)
end

local CANCELLED = 128

-- pack_state(...): the reverse.
local function pack_state(letter, attempt, stalls, seq, at, held)
  return pack_bytes('>c1BBI6I6B', letter, attempt, stalls, seq, at, held)
end
