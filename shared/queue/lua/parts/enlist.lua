-- enlist(command, jobs, vtime): puts {id, lane, priority}s at an end of their lanes: RPUSH the tail, LPUSH the
-- head (the last job is then the first). True if a lane was empty before: a worker may have to be woken.
local function enlist(command, jobs, vtime)
  local groups, lists, lanes = {}, {}, {}
  for _, job in ipairs(jobs) do
    local list = K.lane .. ':' .. job.lane .. ':' .. job.priority
    local group = groups[list]
    if not group then
      group = {lane = job.lane, ids = {}}
      groups[list] = group
      lists[#lists + 1] = list
    end
    group.ids[#group.ids + 1] = job.id
  end
  for _, list in ipairs(lists) do
    local group = groups[list]
    local length = redis.call(command, list, unpack(group.ids))
    if length == #group.ids and redis.call('EXISTS', lane_lists(group.lane)) == 1 then
      lanes[#lanes + 1] = group.lane
    end
  end
  ready(lanes, vtime)
  return #lanes > 0
end
