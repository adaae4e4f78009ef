-- learn_lanes(books, lanes): the subjects that a job of each lane is charged to, from wide to narrow: the tenant,
-- the tenant's channel, the lane; false for those without anything in force.
local function learn_lanes(books, lanes)
  local wanted, new = {names = {}, defaults = {}}, {}
  for n = 1, #lanes do
    local lane = lanes[n]
    if not books.lanes[lane] then
      local subjects = {}
      if books.rules then
        local group, tenant, channel = match(lane, '^(([^/]+)/([^/]+))/')
        if group then
          local defaults = '*/' .. channel
          ask(books, wanted, defaults, defaults)
          ask(books, wanted, group, defaults)
          ask(books, wanted, lane, defaults)
          ask(books, wanted, tenant)
          subjects = {tenant, group, lane}
        else
          ask(books, wanted, lane)
          subjects = {lane}
        end
        new[#new + 1] = subjects
      end
      books.lanes[lane] = subjects
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
