#!lua flags=no-writes
-- explain: the facts behind why a job waits.
-- KEYS prefix
-- ARGV id tenant
-- returns {} | {name value...}: of the record, and clk, position, class_depth, workers, slots,
--   held, quarantine (when it is over), now_us
-- uses: record ready position
local job = job_load(ARGV[1])
if not job or job.tenant ~= ARGV[2] then return {} end
local live, slots, held, largest = 0, 0, 0, 0
for i, name in ipairs(redis.call('SMEMBERS', KEY_WORKERS_OF .. job.model)) do
  if i > SCRIPT_LOOP_MAX then break end
  local worker = redis.call('HMGET', KEY_WORKER .. name, 'state', 'slots')
  if worker[1] == 'ready' then
    live, slots = live + 1, slots + worker[2]
    held = held + redis.call('SCARD', KEY_HELD .. name)
  end
end
local facts = {'clk', digits(clk), 'workers', live, 'slots', slots, 'held', held,
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
