-- turn: admit
-- submit: - -> QUEUED. The same id with the same digest is the same job, at any time until it is
-- forgotten.
-- ARGV id digest tenant model class side cost deadline_ms(0: none) seed steps queue_max origin
--   job(bytes) extras(what the job names beside its model, a line each: its kind (0: a
--   model) and id; may be left out)
-- returns {QUEUED version position seed} | {EXISTED state version position seed} | {CONFLICT} |
--   {FULL}
-- uses: record ready position
local id, digest, tenant, model, class = unpack(ARGV, 1, 5)
local known = job_load(id)
if known then
  local was = redis.call('HMGET', KEY_JOB .. id, 'digest', 'seed')
  if was[1] ~= digest or known.tenant ~= tenant then return {'CONFLICT'} end
  local position = known.state == 'QUEUED' and job_position(known) or 0
  return {'EXISTED', known.state, known.version, position, was[2]}
end
if redis.call('ZCARD', KEY_STATE .. 'QUEUED') >= tonumber(ARGV[11]) then return {'FULL'} end

local place = digits(redis.call('INCR', KEY_SEQUENCE))
local deadline = tonumber(ARGV[8]) > 0 and digits(clk + ARGV[8]) or false
redis.call('HSET', KEY_JOB .. id, 'state', 'QUEUED', 'version', 1, 'digest', digest,
  'tenant', tenant, 'model', model, 'class', class, 'level', class, 'side', ARGV[6],
  'cost', ARGV[7], 'born', place, 'place', place, 'seed', ARGV[9], 'steps', ARGV[10],
  'step', 0, 'fails', 0, 'crashes', 0, 'crashers', '', 'handoffs', 0, 'losses', 0,
  'submitted_us', digits(wall_us()), 'job', ARGV[13])
if (ARGV[14] or '') ~= '' then redis.call('HSET', KEY_JOB .. id, 'extras', ARGV[14]) end
if deadline then redis.call('HSET', KEY_JOB .. id, 'deadline', deadline) end
redis.call('ZADD', KEY_JOBS, place, id)
redis.call('ZADD', KEY_STATE .. 'QUEUED', place, id)
local job = {id = id, tenant = tenant, model = model, class = class, level = class, place = place,
  deadline = deadline}
line_enter(job)
wake(model, ARGV[12])
return {'QUEUED', 1, job_position(job), ARGV[9]}
