#!lua
-- trial: changes nothing; finds out whether the other scripts will be able to. Being a script that
-- writes, by its first line, it is refused as submit is: by a replica, by a Redis that has no
-- memory or disk left. Then it asks for every command of all of them, and holds the plain keys
-- against their types: what another program has put there is no queue of ours.
-- ARGV -
-- returns 1 | an error NOPERM or WRONGTYPE that names everything found
-- uses:
local refused = {}
for _, command in ipairs(COMMANDS_OF_ALL) do
  local key = command == 'PUBLISH' and KEY_EVENTS or PREFIX
  local known, may = pcall(redis.acl_check_cmd, command, key)
  if not known or not may then refused[#refused + 1] = command end
end
if #refused > 0 then
  error({err = 'NOPERM the user of Redis needs ~' .. PREFIX .. '* &' .. PREFIX ..
    '* and more commands: ' .. table.concat(refused, ' ')})
end
-- What is there, in the words of keys.h; a number is a text that INCRBY can count on.
local function type_of(key)
  local found = redis.call('TYPE', key).ok
  if found ~= 'string' then return found end
  return string.match(redis.call('GET', key), '^%d+$') and 'number' or 'text'
end

local strange = {}
for name, wanted in pairs(TYPES_OF_KEYS) do
  local found = type_of(PREFIX .. name)
  if found ~= 'none' and found ~= wanted and not (found == 'number' and wanted == 'text') then
    strange[#strange + 1] = PREFIX .. name .. ' is a ' .. found .. ' and not a ' .. wanted
  end
end
for _, count in ipairs(redis.call('TYPE', KEY_COUNT).ok == 'hash' and
  redis.call('HVALS', KEY_COUNT) or {}) do
  if not string.match(count, '^%-?%d+$') then
    strange[#strange + 1] = KEY_COUNT .. ' has a row that is no number'
  end
end
if #strange > 0 then
  table.sort(strange)
  error({err = 'WRONGTYPE another program uses the prefix: ' .. table.concat(strange, ', ')})
end
return 1
