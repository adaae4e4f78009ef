-- settlement(raw): how a job ends; the format is in shared/queue/codec.py.
local function settlement(raw)
  local e, closing, reason, at = {}, nil, nil, nil
  e.verdict, e.epoch, e.seq, e.at, e.refund, closing, reason, at = struct.unpack('>c1I6I6I6BBH', raw)
  if closing > 0 then
    e.close_until, at = struct.unpack('>I6', raw, at)
    e.close, at = string.sub(raw, at, at + closing - 1), at + closing
  end
  e.story = struct.pack('>H', reason) .. string.sub(raw, at)
  return e
end
