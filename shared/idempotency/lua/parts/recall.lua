-- recall(first, second, current, before): 'duplicate' or 'conflict' for an id that is remembered in `shards`, else nil.
local function recall(first, second, current, before)
  local shard = sub(first, -4)
  local known = call('SMISMEMBER', current .. shard, first, second)
  if known[1] == 0 then
    known = call('SMISMEMBER', before .. shard, first, second)
  end
  if known[1] == 1 then
    return known[2] == 1 and 'duplicate' or 'conflict'
  end
end
