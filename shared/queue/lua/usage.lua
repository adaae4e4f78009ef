--[[
usage: what is in force for subjects, and how much of it is used

KEYS
  1 meta  hash  the partition; its tag is in every key
ARGV
  1 now   ms    '' for the server's clock
  2+            subjects
RETURNS
  {now, {paused, until, cap, running, parked, retry, {length, limit, used, frees, ...}}, ...}  of each subject
    paused: 'paused' or ''. until, ms: when a closure ends; 0: there is none. cap, running: '' without a cap.
    parked: 'parked' where lanes wait for it, else ''. retry, ms: when they are looked at again, or ''. frees, ms:
    when the first charge of a window leaves it
DERIVED
  parked config windows slots
]]
-- @include redis/locals
-- @include redis/clock
-- @include queue/keys
-- @include queue/meta
-- @include limits/log
-- @include limits/room
-- @include limits/charge
-- @include limits/recent
-- @include limits/shelf
-- @include limits/config
-- @include limits/windows
-- @include limits/used
-- @include queue/learn
local now = clock(ARGV[1], meta().last)
local books, names, limited, answer = {windows = {}, subjects = {}}, {}, {}, {now}
for n = 2, #ARGV do
  local name = ARGV[n]
  local channel = match(name, '/([^/]+)')
  local raws = redis.call('HMGET', K.config, name, '*/' .. (channel or ''))
  local defaults = channel and raws[2] and subject(books, '', raws[2])
  names[n - 1], books.subjects[n - 1] = name, subject(books, name, raws[1], defaults)
end
for n, raw in ipairs(#names > 0 and fetch_charges(names, now) or {}) do
  local name, s = names[n], books.subjects[n]
  local figures, cap, running = {}, '', ''
  if s and s.windows then
    read_charges(s, raw, now, 0)
    exact_room(s, now, 0)
    figures = used(s.logs, now)
  end
  if s and s.capped then
    cap, running = s.capped, redis.call('ZCOUNT', K.slots .. ':' .. name, '(' .. now, '+inf')
  end
  local scores = call('ZMSCORE', K.parked, 'L' .. name, 'S' .. name)
  local retry = max(tonumber(scores[1]) or -1, tonumber(scores[2]) or -1)
  local closed = s and s.closed or 0
  answer[n + 1] = {
    closed == huge and 'paused' or '', closed < huge and closed or 0, cap, running,
    retry < 0 and '' or 'parked', retry >= 0 and retry < huge and retry or '', figures,
  }
end
return answer
