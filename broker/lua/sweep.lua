#!lua flags=allow-oom
-- sweep: everything that happens because time has passed, SCRIPT_LOOP_MAX steps at most, the most
-- pressing first.
-- ARGV retention_ms
-- returns {more(1: call again) lapsed cancelled expired quarantined failed, model...}: how many,
--   and the models that have waiting jobs, for workers whose wake was lost
-- uses: record ready lease worker
local left, lapsed = SCRIPT_LOOP_MAX, 0

-- Calls act(member) for each row of the index that is due, as far as the steps reach.
local function each_due(index, until_ms, act)
  if left <= 0 then return end
  local before = '(' .. digits(until_ms)
  local due = redis.call('ZRANGE', index, '-inf', before, 'BYSCORE', 'LIMIT', 0, left)
  for _, member in ipairs(due) do act(member) end
  left = left - #due
end

-- The same for an index of jobs in the given states. A row without such a record is a stray (audit
-- would name it) and is dropped, because it would otherwise come up in every pass for ever.
local function each_job_due(index, until_ms, states, act)
  each_due(index, until_ms, function(id)
    local job = job_find(id)
    if job and states[job.state] then act(job) else redis.call('ZREM', index, id) end
  end)
end

each_job_due(KEY_LEASES, clk, {ASSIGNED = true, RUNNING = true}, function(job)
  lapsed = lapsed + 1
  worker_missed(job) -- first: job_lapse publishes a WAKE, which must not wake this worker
  job_lapse(job, 'lapse', 'the worker fell silent while it ran')
end)
each_job_due(KEY_DEADLINES, clk, {QUEUED = true, DELAYED = true}, job_expire)
each_job_due(KEY_DELAYED, clk + 1, {DELAYED = true}, function(job) job_requeue(job, 'due') end)
each_job_due(KEY_QUARANTINE, clk, {QUARANTINED = true}, function(job)
  job_end(job, 'FAILED', 'lapse')
end)
each_job_due(KEY_AGEING, clk + 1, {QUEUED = true}, function(job)
  line_leave(job)
  job.level, job.place = digits(job.level - 1), digits(redis.call('INCR', KEY_SEQUENCE))
  redis.call('HSET', KEY_JOB .. job.id, 'level', job.level, 'place', job.place)
  line_enter(job)
end)
each_due(KEY_WORKERS, clk - WORKER_SILENT_MS, function(name)
  worker_becomes(name, 'gone')
  if redis.call('ZSCORE', KEY_WORKERS, name) + WORKER_FORGET_MS < clk then
    worker_models_leave(name)
    redis.call('DEL', KEY_WORKER .. name)
    redis.call('ZREM', KEY_WORKERS, name)
  end
end)
each_due(KEY_ENDED, clk - ARGV[1], function(id)
  local state = redis.call('HGET', KEY_JOB .. id, 'state')
  redis.call('DEL', KEY_JOB .. id)
  if state then redis.call('ZREM', KEY_STATE .. state, id) end
  redis.call('ZREM', KEY_JOBS, id)
  redis.call('ZREM', KEY_ENDED, id)
end)
local models = redis.call('SRANDMEMBER', KEY_READY_MODELS, SCRIPT_LOOP_MAX)
for i, lane in ipairs(models) do models[i] = string.match(lane, '[^\n]+') end
return {left <= 0 and 1 or 0, lapsed, ended.CANCELLED, ended.EXPIRED, ended.QUARANTINED,
  ended.FAILED, unpack(models)}
