-- last_lines(lines, most): the last so many of the lines of a log, each its time 6, its length 2 and its text.
local function last_lines(lines, most)
  local starts, at = {}, 1
  while at <= #lines do
    starts[#starts + 1] = at
    at = at + 8 + unpack_bytes('>H', lines, at + 6)
  end
  return sub(lines, starts[max(1, #starts - most + 1)] or 1)
end
