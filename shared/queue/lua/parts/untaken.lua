-- untaken(raw, raw_state): of a job that no worker has: 'w' or 'd', as its state says. Of another: nil, and why:
-- 'active', 'finished' or 'absent'.
local function untaken(raw, raw_state)
  local letter = state(raw_state)
  if not raw then
    return nil, 'absent'
  elseif letter == 'w' or letter == 'd' then
    return letter
  end
  return nil, letter == 'a' and 'active' or 'finished'
end
