-- windows(known, raw): the {length, limit}s of a configuration that has them in these bytes, with the bytes, the
-- shortest length (0 if there is none) and the smallest limit; `known` keeps what was parsed.
local function windows(known, raw)
  local found = known[raw]
  if not found then
    found = {raw = raw, shortest = raw == '' and 0 or math.huge, smallest = math.huge}
    for at = 1, #raw, 8 do
      local length, limit = struct.unpack('>I4I4', raw, at)
      found[#found + 1] = {length = length, limit = limit}
      found.shortest, found.smallest = math.min(found.shortest, length), math.min(found.smallest, limit)
    end
    known[raw] = found
  end
  return found
end
