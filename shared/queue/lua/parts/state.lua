-- state(raw): where a job is and what it went through; a job without state waits and has never run.
-- letter: w waiting, d delayed, a active, c completed, f failed. at, ms: when claimed, when finished, or when
-- first found to be of a newer version. held: which of its lane's subjects it holds a slot of, a bit each.
local function state(raw)
  if not raw then
    return {letter = 'w', attempt = 0, stalls = 0, seq = 0, at = 0, held = 0}
  end
  local letter, attempt, stalls, seq, at, held = struct.unpack('>c1BBI6I6B', raw)
  return {letter = letter, attempt = attempt, stalls = stalls, seq = seq, at = at, held = held}
end

-- pack_state(state): the reverse.
local function pack_state(s)
  return struct.pack('>c1BBI6I6B', s.letter, s.attempt, s.stalls, s.seq, s.at, s.held)
end
