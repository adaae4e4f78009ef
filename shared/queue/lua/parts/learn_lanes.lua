-- learn_lanes(books, lanes): the subjects that a job of each lane is charged to, from wide to narrow: the tenant,
-- the tenant's channel, the lane; false for those without anything in force.
local function learn_lanes(books, lanes)
  local names, new = {}, {}
  for _, lane in ipairs(lanes) do
    if not books.lanes[lane] then
      local subjects = {}
      books.lanes[lane] = subjects
      if books.rules then
        local group, tenant, channel = string.match(lane, '^(([^/]+)/([^/]+))/')
        subjects[1], subjects[2], subjects[3] = tenant or lane, group, group and lane
        if group then
          ask(books, names, '*/' .. channel)
        end
        for _, name in ipairs(subjects) do
          ask(books, names, name)
        end
        new[#new + 1] = subjects
      end
    end
  end
  if #names > 0 then
    learn_subjects(books, names)
  end
  for _, subjects in ipairs(new) do
    for i = 1, #subjects do
      subjects[i] = books.subjects[subjects[i]]
    end
  end
end
