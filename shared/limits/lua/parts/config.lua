-- config(raw): what is in force for a subject; the format is in shared/queue/codec.py. A pause is a closure
-- without an end.
local function config(raw)
  if not raw then
    return {weight = 1, closed = 0, flags = 0, cap = 0, until_ms = 0, rest = ''}
  end
  local flags, weight, cap, until_ms, at = struct.unpack('>BHI4I6', raw)
  local found = {flags = flags, weight = weight, cap = cap, until_ms = until_ms, rest = string.sub(raw, at)}
  found.closed = flags % 2 == 1 and math.huge or until_ms
  if flags % 4 >= 2 then
    found.windows = {}
    for window = at, #raw, 8 do
      local length, limit = struct.unpack('>I4I4', raw, window)
      found.windows[#found.windows + 1] = {length = length, limit = limit}
    end
  end
  found.capped = flags % 8 >= 4
  return found
end

-- pack_config(c): the reverse.
local function pack_config(c)
  return struct.pack('>BHI4I6', c.flags, c.weight, c.cap, c.until_ms) .. c.rest
end
