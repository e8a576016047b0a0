#!lua
-- trial: changes nothing; finds out whether the other scripts will be able to. Being a script that
-- writes, by its first line, it is refused as submit is: by a replica, by a Redis that has no
-- memory or disk left. Then it asks for every command of all of them, and holds the plain keys
-- against their types: what another program has put there is no queue of ours.
-- KEYS prefix
-- ARGV -
-- returns 1 | an error NOPERM or WRONGTYPE that names everything found
-- uses:
local refused = {}
for _, command in ipairs(COMMANDS_OF_ALL) do
  local key = command == 'PUBLISH' and KEY_EVENTS or KEYS[1]
  local known, may = pcall(redis.acl_check_cmd, command, key)
  if not known or not may then refused[#refused + 1] = command end
end
if #refused > 0 then
  error({err = 'NOPERM the user of Redis needs ~' .. KEYS[1] .. '* &' .. KEYS[1] ..
    '* and more commands: ' .. table.concat(refused, ' ')})
end
local strange = {}
for name, wanted in pairs(TYPES_OF_KEYS) do
  local found = redis.call('TYPE', KEYS[1] .. name).ok
  if found ~= 'none' and found ~= wanted then
    strange[#strange + 1] = KEYS[1] .. name .. ' is a ' .. found .. ' and not a ' .. wanted
  end
end
if #strange > 0 then
  table.sort(strange)
  error({err = 'WRONGTYPE another program uses the prefix: ' .. table.concat(strange, ', ')})
end
return 1
