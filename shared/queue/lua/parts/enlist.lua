-- enlist(command, jobs, vtime): puts {id, lane, priority}s at an end of their lanes: RPUSH the tail, LPUSH the
-- head (the last job is then the first). True if a lane was empty before, or is parked and may have another first
-- job now, which may cost less: a worker may have to be woken.
local function enlist(command, jobs, vtime)
  local groups, lists, lanes, changed = {}, {}, {}, {}
  for n = 1, #jobs do
    local job = jobs[n]
    local list = K.lane .. ':' .. job.lane .. ':' .. job.priority
    local ids = groups[list]
    if not ids then
      ids = {lane = job.lane}
      groups[list], lists[#lists + 1] = ids, list
    end
    ids[#ids + 1] = job.id
  end
  for n = 1, #lists do
    local ids = groups[lists[n]]
    local length = call(command, lists[n], unpack(ids))
    if length == #ids and call('EXISTS', lane_lists(ids.lane)) == 1 then
      lanes[#lanes + 1] = ids.lane
    elseif length == #ids or command == 'LPUSH' then
      changed[ids.lane] = true
    end
  end
  ready(lanes, vtime)
  return relieve(changed) or #lanes > 0
end
