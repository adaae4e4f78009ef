-- Charges lie in two generations of 25 hours, longer than any counts: read from the new, else the old; written to
-- the new; what is older is dropped as a whole.
local GENERATION = 90000000

-- fetch_charges(names, now): the raw charges of subjects, in order; false for none.
local function fetch_charges(names, now)
  local generation = math.floor(now / GENERATION)
  local raws = redis.call('HMGET', K.windows .. ':' .. generation, unpack(names))
  local missing, places = {}, {}
  for i = 1, #names do
    if not raws[i] then
      missing[#missing + 1] = names[i]
      places[#places + 1] = i
    end
  end
  if #missing > 0 then
    local old = redis.call('HMGET', K.windows .. ':' .. (generation - 1), unpack(missing))
    for i, place in ipairs(places) do
      raws[place] = old[i]
    end
  end
  return raws
end

-- store_charges(pairs, now): writes {name, raw, name, raw, ...}. The first write of a generation drops what nobody
-- reads any more; the expiry is for a partition that falls silent.
local function store_charges(pairs, now)
  local generation = math.floor(now / GENERATION)
  local key = K.windows .. ':' .. generation
  if redis.call('HSET', key, unpack(pairs)) * 2 == #pairs and redis.call('HLEN', key) * 2 == #pairs then
    redis.call('PEXPIRE', key, (generation + 3) * GENERATION - now)
    redis.call('UNLINK', K.windows .. ':' .. (generation - 2))
  end
end
