-- opens(m, epoch, run): the partition is being opened by the opening of this epoch, on the server it began on.
local function opens(m, epoch, run)
  return m.epoch == tonumber(epoch) and redis.call('HGET', K.meta, 'opening') == run
end
