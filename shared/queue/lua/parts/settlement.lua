-- settlement(id, raw, first, second): how a job ends; the format is in shared/queue/codec.py. The fields that are
-- false here others fill in.
local function settlement(id, raw, first, second)
  local verdict, epoch, seq, at, refund, closing, reason, rest = unpack_bytes('>c1I6I6I6BBH', raw)
  local job = {
    id = id, verdict = verdict, epoch = epoch, seq = seq, at = at, refund = refund, first = first, second = second,
    story = false, word = false, close = false, close_until = 0, attempt = 0, stalls = 0, charged = 0, held = 0,
  }
  if closing > 0 then
    job.close_until, rest = unpack_bytes('>I6', raw, rest)
    job.close, rest = sub(raw, rest, rest + closing - 1), rest + closing
  end
  job.story = pack_bytes('>H', reason) .. sub(raw, rest)
  return job
end
