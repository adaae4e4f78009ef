-- learn_lanes(books, lanes): the subjects that a job of each lane is charged to, from wide to narrow: the tenant,
-- the tenant's channel, the lane; false for those without anything in force.
local function learn_lanes(books, lanes)
  local wanted, new = {names = {}, defaults = {}}, {}
  for n = 1, #lanes do
    local lane = lanes[n]
    if not books.lanes[lane] then
      local subjects = {}
      books.lanes[lane] = subjects
      if books.rules then
        local group, tenant, channel = match(lane, '^(([^/]+)/([^/]+))/')
        ask(books, wanted, tenant or lane)
        subjects[1] = tenant or lane
        if group then
          local defaults = '*/' .. channel
          ask(books, wanted, defaults, defaults)
          ask(books, wanted, group, defaults)
          ask(books, wanted, lane, defaults)
          subjects[2], subjects[3] = group, lane
        end
        new[#new + 1] = subjects
      end
    end
  end
  if #wanted.names > 0 then
    learn_subjects(books, wanted)
  end
  for n = 1, #new do
    local subjects = new[n]
    for i = 1, #subjects do
      subjects[i] = books.subjects[subjects[i]]
    end
  end
end
