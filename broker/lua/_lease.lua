-- _lease: who holds a job, until when, and the ways it ends. Uses _record and _ready.
local function lease_give(job, ms)
  job.lease = digits(clk + ms)
  redis.call('ZADD', KEY_LEASES, job.lease, job.id)
  redis.call('HSET', KEY_JOB .. job.id, 'lease', job.lease)
end

local function lease_close(job, closing)
  redis.call('ZREM', KEY_LEASES, job.id)
  redis.call('SREM', KEY_HELD .. job.worker, job.id)
  redis.call('HDEL', KEY_JOB .. job.id, 'lease')
  redis.call('HSET', KEY_JOB .. job.id, 'closing', closing)
end

local function is_held(job) return job.state == 'ASSIGNED' or job.state == 'RUNNING' end

-- The job if (worker, generation, fence) is its live attempt; otherwise nil and the answer. Fences
-- are compared as texts, equal. A call that closed this attempt before is answered ALREADY when it
-- is repeated.
-- GONE: the record is no longer kept, or never was, so nobody knows how it ended.
local function attempt(id, worker, generation, fence, closing)
  local job = job_find(id)
  if not job then return nil, 'GONE' end
  if job.fence ~= fence or job.worker ~= worker or job.generation ~= generation then
    return nil, 'STALE'
  end
  if is_held(job) then return job end
  if job.state == 'CANCELLED' then return nil, 'CANCELLED' end
  if closing and job.closing == closing then return nil, 'ALREADY' end
  return nil, 'STALE'
end

-- Takes the job out of whatever index its state has put it in.
local function job_detach(job, closing)
  if is_held(job) then
    lease_close(job, closing)
  elseif job.state == 'QUEUED' then
    line_leave(job)
  elseif job.state == 'DELAYED' then
    redis.call('ZREM', KEY_DELAYED, job.id)
    redis.call('ZREM', KEY_DEADLINES, job.id)
  elseif job.state == 'QUARANTINED' then
    redis.call('ZREM', KEY_QUARANTINE, job.id)
    redis.call('HDEL', KEY_JOB .. job.id, 'ended', 'finished_us')
    redis.call('HINCRBY', KEY_COUNT, 'QUARANTINED', -1)
  end
end

-- How many jobs this call has ended, by state.
local ended = {CANCELLED = 0, EXPIRED = 0, QUARANTINED = 0, FAILED = 0, SUCCEEDED = 0}

-- Ends the job: for ever, but from quarantine an operator may take it back. Further fields
-- (error_code, error_text, result) follow.
local function job_end(job, state, closing, ...)
  job_detach(job, closing)
  job_move(job, state, 'finished_us', digits(wall_us()), 'ended', digits(clk), ...)
  if state == 'QUARANTINED' then
    redis.call('ZADD', KEY_QUARANTINE, clk + QUARANTINE_MS, job.id)
  else
    redis.call('ZADD', KEY_ENDED, clk, job.id)
  end
  redis.call('HINCRBY', KEY_COUNT, state, 1)
  ended[state] = ended[state] + 1
  tell('TERMINAL', job, state)
end

local function job_requeue(job, closing, ...)
  local kind = job.state == 'DELAYED' and 'QUEUED' or 'REQUEUED'
  job_detach(job, closing)
  line_enter(job)
  job_move(job, 'QUEUED', 'step', 0, ...)
  tell(kind, job)
  wake(job.model)
end

-- An attempt was lost, and nobody knows through whose fault: a machine went, a lease lapsed, an
-- engine died with several jobs in it, a watchdog was impatient. It counts as nobody's crash. The
-- job goes back, and from now on it runs alone; but not for ever: it may be what makes every engine
-- hang, and after LOSSES_MAX it ends without a verdict.
local function job_lose(job, closing, text)
  if job.cancel then return job_end(job, 'CANCELLED', closing) end
  job.losses = digits(losses_of(job) + 1)
  if losses_of(job) >= LOSSES_MAX then
    return job_end(job, 'FAILED', closing, 'losses', job.losses, 'error_code', CODE_WORKER_LOST,
      'error_text', text .. ' (given up: ' .. job.losses .. ' attempts lost, none of them proved its fault)')
  end
  job_requeue(job, closing, 'losses', job.losses, 'error_code', CODE_WORKER_LOST,
    'error_text', text)
end

-- Back to the front unharmed: nothing was lost, no attempt is used. But a job that is handed back
-- again and again may be what nobody can take: then each further time counts as a loss.
local function job_hand_back(job, closing)
  if job.cancel then return job_end(job, 'CANCELLED', closing) end
  if tonumber(job.handoffs) >= HANDOFFS_MAX then
    return job_lose(job, closing, 'it was handed back ' .. job.handoffs .. ' times')
  end
  line_refund(job)
  job_requeue(job, closing, 'handoffs', job.handoffs + 1)
end

-- Its engine died while it ran. Only if it ran alone that proves its fault; on two different
-- workers, or CRASHES_MAX times, is proof enough.
local function job_crash(job, closing, text)
  if job.alone ~= '1' then return job_lose(job, closing, text) end
  if job.cancel then return job_end(job, 'CANCELLED', closing) end
  local crashes, workers = job.crashes + 1, {}
  for name in string.gmatch(job.crashers .. ' ' .. job.worker, '%S+') do workers[name] = true end
  local names = {}
  for name in pairs(workers) do names[#names + 1] = name end
  table.sort(names)
  local fields = {'crashes', crashes, 'crashers', table.concat(names, ' '),
    'error_code', CODE_WORKER_LOST, 'error_text', text}
  if #names >= CRASH_WORKERS_MAX or crashes >= CRASHES_MAX then
    return job_end(job, 'QUARANTINED', closing, unpack(fields))
  end
  job_requeue(job, closing, unpack(fields))
end

-- The lease is over without a word: never started is a hand-back, started is a loss. Never a crash:
-- a worker that is frozen, cut off or started twice looks the same from here.
local function job_lapse(job, closing, text)
  if job.state == 'ASSIGNED' then return job_hand_back(job, closing) end
  job_lose(job, closing, text)
end

local function job_expire(job)
  job_end(job, 'EXPIRED', 'expire', 'error_code', 0,
    'error_text', 'the deadline passed before it was started')
end
