--[[
is_open: whether a partition serves

KEYS
  1 meta  hash  the partition; its tag is in every key
ARGV
  1 run   str   run id of the server that the caller's connection found
RETURNS
  'open'
  'closed'  an opening must come first
]]
-- @include queue/keys
-- @include queue/meta
return meta().run == ARGV[1] and 'open' or 'closed'
