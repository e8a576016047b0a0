-- _turn: what a broker asks in a turn, in one call. Each op is done as if it were alone: it may
-- see what those before it have done, and one that fails harms no other.
-- ARGV (op count argument...)...
-- returns {reply...}, in the order of the ops; an error is the reply of its op
-- uses: record ready lease worker position
local replies, at = {}, 1
while at <= #ARGV do
  local first, last = at + 2, at + 1 + ARGV[at + 1]
  local done, reply = pcall(ops[ARGV[at]], {unpack(ARGV, first, last)})
  if not done and type(reply) ~= 'table' then reply = {err = 'ERR ' .. tostring(reply)} end
  replies[#replies + 1] = reply
  at = last + 1
end
return replies
