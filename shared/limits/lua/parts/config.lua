-- config(raw): what is in force for a subject; the format is in shared/queue/codec.py. A pause is a closure
-- without an end. windows: as they are there, nil for none of its own.
local function config(raw)
  if not raw then
    return {flags = 0, weight = 1, cap = 0, until_ms = 0, closed = 0, rest = ''}
  end
  local flags, weight, cap, until_ms, at = struct.unpack('>BHI4I6', raw)
  local rest = string.sub(raw, at)
  return {
    flags = flags, weight = weight, cap = cap, until_ms = until_ms, rest = rest,
    closed = flags % 2 == 1 and math.huge or until_ms, capped = flags >= 4,
    windows = flags % 4 >= 2 and rest or nil,
  }
end

-- pack_config(c): the reverse.
local function pack_config(c)
  return struct.pack('>BHI4I6', c.flags, c.weight, c.cap, c.until_ms) .. c.rest
end
