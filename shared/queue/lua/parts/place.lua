-- place(page, id, raw, raw_state, score): adds where a job is: id, state as stored or '', lane, and when it was enqueued,
-- is due, its lease ends, or it ended, in ms. score: of a delayed, active or failed one.
local function place(page, id, raw, raw_state, score)
  local lane, _, _, _, _, _, enqueued = record(raw)
  local letter, _, _, _, at = state(raw_state)
  local n = #page
  page[n + 1], page[n + 2], page[n + 3] = id, raw_state or '', lane
  page[n + 4] = tonumber(score) or letter == 'c' and at or enqueued
end
