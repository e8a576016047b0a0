-- turn: work
-- worker_bye: the worker leaves on its own. Whatever it did not release goes back to the front, no
-- attempt used.
-- ARGV worker generation
-- returns {OK} | {STALE}
-- uses: record ready lease worker
local name = ARGV[1]
if not worker_live(name, ARGV[2]) then return {'STALE'} end
for i, id in ipairs(redis.call('SMEMBERS', KEY_HELD .. name)) do
  if i > SCRIPT_LOOP_MAX then break end
  local job = held_job(name, id)
  if job then job_hand_back(job, 'bye') end
end
worker_models_leave(name)
redis.call('HSET', KEY_WORKER .. name, 'models', '', 'token', '') -- the name is free
worker_becomes(name, 'gone')
return {'OK'}
