-- Functions of the language as locals, for what runs once a job: a global is looked up by its name each time. What
-- runs once a call uses globals: each local that a function uses has to be tied to it at every call of its script.
local call, pack_bytes, unpack_bytes = redis.call, struct.pack, struct.unpack
local byte, match, sub = string.byte, string.match, string.sub
local floor, max, min, huge = math.floor, math.max, math.min, math.huge
