#!lua flags=no-writes
-- explain: the facts behind why a job waits.
-- ARGV id tenant
-- returns {} | {name value...}: of the record, and clk, position, class_depth, workers, slots,
--   held, troubled (how many of the workers), trouble and trouble_of (of the worker that has the
--   job, else of one of them), able (how many of the workers have all that the job names),
--   cordoned (how many of the workers have a device that takes no jobs), cordon and cordon_of (of
--   one of them), quarantine (when it is over), now_us
-- uses: record ready position lease worker
local job = job_load(ARGV[1])
if not job or job.tenant ~= ARGV[2] then return {} end
local live, able, slots, held, troubled, trouble, trouble_of = 0, 0, 0, 0, 0, '', ''
local names = redis.call('HGET', KEY_JOB .. job.id, 'extras')
local cordoned, cordon, cordon_of = 0, '', ''
for i, name in ipairs(redis.call('SMEMBERS', KEY_WORKERS_OF .. job.model)) do
  if i > FLEET_WORKERS_MAX then break end
  local worker = redis.call('HMGET', KEY_WORKER .. name, 'state', 'slots', 'trouble',
    'cordon', 'extras')
  if worker[1] == 'ready' then
    live, slots = live + 1, slots + worker[2]
    if worker_can(worker[5], names) then able = able + 1 end
    held = held + redis.call('SCARD', KEY_HELD .. name)
    if worker[3] and worker[3] ~= '' then
      troubled, trouble, trouble_of = troubled + 1, worker[3], name
    end
    if worker[4] and worker[4] ~= '' then
      cordoned, cordon, cordon_of = cordoned + 1, worker[4], name
    end
  end
end
if job.state == 'ASSIGNED' or job.state == 'RUNNING' then
  trouble_of = job.worker
  trouble = redis.call('HGET', KEY_WORKER .. job.worker, 'trouble') or ''
end
local facts = {'clk', digits(clk), 'workers', live, 'able', able, 'slots', slots, 'held', held,
  'troubled', troubled, 'trouble', trouble, 'trouble_of', trouble_of,
  'cordoned', cordoned, 'cordon', cordon, 'cordon_of', cordon_of,
  'position', job.state == 'QUEUED' and job_position(job) or 0,
  'class_depth', redis.call('HGET', KEY_COUNT, 'depth:' .. job.class) or '0',
  'quarantine', redis.call('ZSCORE', KEY_QUARANTINE, job.id) or '0'}
for _, name in ipairs({'state', 'model', 'class', 'level', 'side', 'deadline', 'due', 'lease',
  'worker', 'cancel', 'step', 'steps', 'fails', 'crashes', 'handoffs', 'losses',
  'requeues', 'alone',
  'error_text', 'started_us'}) do
  local value = redis.call('HGET', KEY_JOB .. job.id, name)
  if value then
    facts[#facts + 1] = name
    facts[#facts + 1] = value
  end
end
facts[#facts + 1] = 'now_us'
facts[#facts + 1] = digits(wall_us())
return facts
