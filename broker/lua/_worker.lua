-- _worker: who is there. Uses _record and _lease.
local function worker_live(name, generation)
  return redis.call('HGET', KEY_WORKER .. name, 'generation') == generation
end

-- ready: takes jobs; draining: finishes what it has and leaves; silent: a lease lapsed without a word
-- from it; gone. Only ready ones are given jobs.
local function worker_becomes(name, state)
  if redis.call('HGET', KEY_WORKER .. name, 'state') == state then return end
  redis.call('HSET', KEY_WORKER .. name, 'state', state)
  redis.call('PUBLISH', KEY_EVENTS, 'FLEET')
end

-- What keeps its pictures from their store, in its own words; empty: nothing does.
local function worker_troubled(name, trouble)
  if (redis.call('HGET', KEY_WORKER .. name, 'trouble') or '') ~= trouble then
    redis.call('HSET', KEY_WORKER .. name, 'trouble', trouble)
  end
end

-- Its devices as they are now, packed, and why one of them takes no more jobs; empty: none is so.
local function worker_has(name, devices, cordon)
  local was = redis.call('HMGET', KEY_WORKER .. name, 'devices', 'cordon')
  if was[1] ~= devices or was[2] ~= cordon then
    redis.call('HSET', KEY_WORKER .. name, 'devices', devices, 'cordon', cordon)
  end
end

-- It was heard by the broker `via`: alive until WORKER_SILENT_MS from now.
local function worker_heard(name, via, state)
  redis.call('ZADD', KEY_WORKERS, clk, name)
  redis.call('HSET', KEY_WORKER .. name, 'seen', digits(clk), 'via', via)
  worker_becomes(name, state)
end

-- A lease of its job has lapsed. If it has not been heard since the lease was given it is not
-- listening, and what it granted before counts no more (claim asks for the state): otherwise job
-- after job would be lost to its credits. If it has been heard, only the assignment was lost.
local function worker_missed(job)
  local row = redis.call('HMGET', KEY_WORKER .. job.worker, 'generation', 'state', 'seen')
  if row[1] ~= job.generation or row[2] == 'gone' then return end
  local ms = job.state == 'ASSIGNED' and LEASE_ASSIGNED_MS or LEASE_RUNNING_MS
  local given = redis.call('ZSCORE', KEY_LEASES, job.id) - ms
  if tonumber(row[3] or '0') <= given then worker_becomes(job.worker, 'silent') end
end

-- The job behind a row of what the worker holds; a row without a whole record is a stray and goes.
local function held_job(name, id)
  local job = job_find(id)
  if job and is_held(job) and job.worker == name then return job end
  redis.call('SREM', KEY_HELD .. name, id)
end

-- Whether it has all that a job names, a line each ("kind id"). One that has not said what it has is
-- taken at its word when it is given the job.
local function worker_can(extras, names)
  if not extras or extras == '' then return true end
  for line in string.gmatch(names or '', '[^\n]+') do
    if not string.find(extras .. '\n', '\n' .. line .. '\n', 1, true) then return false end
  end
  return true
end

local function worker_models_leave(name)
  local models = redis.call('HGET', KEY_WORKER .. name, 'models') or ''
  for model in string.gmatch(models, '[^\n]+') do
    redis.call('SREM', KEY_WORKERS_OF .. model, name)
  end
end
