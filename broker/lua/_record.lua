-- _record: the record of a job, its row in the state index, and telling the watchers. The record
-- is truth; every function here changes record and index together.
local clk = tonumber(redis.call('GET', KEY_CLOCK) or '0')

-- Redis's wall time in microseconds: for figures shown to people, never for a decision.
local function wall_us()
  local time = redis.call('TIME')
  return time[1] * 1000000 + time[2]
end

local function digits(number) return string.format('%.0f', number) end

local FIELDS = {'state', 'version', 'tenant', 'model', 'class', 'level', 'side', 'cost', 'born',
  'place', 'deadline', 'fence', 'worker', 'generation', 'cancel', 'fails', 'crashes', 'crashers',
  'handoffs', 'closing', 'submitted_us'}

-- The fields a decision needs, as texts (false when missing); nil when there is no such job.
local function job_load(id)
  local values = redis.call('HMGET', KEY_JOB .. id, unpack(FIELDS))
  if not values[1] then return nil end
  local job = {id = id}
  for i, field in ipairs(FIELDS) do job[field] = values[i] end
  return job
end

-- Sets fields without a change of state.
local function job_set(job, ...)
  redis.call('HSET', KEY_JOB .. job.id, ...)
  job.version = redis.call('HINCRBY', KEY_JOB .. job.id, 'version', 1)
end

-- Moves the record to a state, setting further fields.
local function job_move(job, state, ...)
  redis.call('ZREM', KEY_STATE .. job.state, job.id)
  redis.call('ZADD', KEY_STATE .. state, job.born, job.id)
  job_set(job, 'state', state, ...)
  job.state = state
end

-- Says what happened to whoever watches: KIND id version and what the kind adds.
local function tell(kind, job, ...)
  redis.call('PUBLISH', KEY_EVENTS, table.concat({kind, job.id, job.version, ...}, ' '))
end
