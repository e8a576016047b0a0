-- _permitted: stands in front of every script that writes. Redis undoes nothing, so a script that
-- is refused one of its commands after its first write would leave half a transition behind. The
-- commands (of this script and its parts; put in by embed-scripts) are therefore asked for here.
for _, command in ipairs(COMMANDS) do
  if not redis.acl_check_cmd(command, command == 'PUBLISH' and KEY_EVENTS or PREFIX) then
    error({err = 'NOPERM the user of Redis may not run ' .. command .. ' on ' .. PREFIX .. '*'})
  end
end
