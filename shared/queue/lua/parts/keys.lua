-- K.<name>: a key of the partition whose hash tag KEYS[1] carries.
local TAG = string.match(KEYS[1], '^.*}:')
local K = setmetatable({}, {__index = function(keys, name)
  keys[name] = TAG .. name
  return keys[name]
end})
