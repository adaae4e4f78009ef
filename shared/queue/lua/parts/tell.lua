-- tell(completed, others): one event for this call, if anything happened: how many jobs completed, and of other words
-- the ids.
local function tell(completed, others)
  local fields = completed > 0 and {'completed', completed} or {}
  for word, ids in pairs(others) do
    if #ids > 0 then
      fields[#fields + 1] = word
      fields[#fields + 1] = cjson.encode(ids)
    end
  end
  if #fields > 0 then
    redis.call('XADD', K.events, 'MAXLEN', '~', 2000, '*', unpack(fields))
  end
end
