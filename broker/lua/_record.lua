-- _record: the record of a job, its row in the state index, and telling the watchers. The record
-- is truth; every function here changes record and index together.
local clk = tonumber(redis.call('GET', KEY_CLOCK) or '0')

-- Redis's wall time in microseconds: for figures shown to people, never for a decision.
local function wall_us()
  local time = redis.call('TIME')
  return time[1] * 1000000 + time[2]
end

local function digits(number) return string.format('%.0f', number) end

-- A number that HINCRBY can count on.
local function is_number(text) return text and string.find(text, '^%-?%d+$') end

-- The fields a decision needs: first the numbers, then the texts that every record has, then those
-- that only some have.
local FIELDS = {'version', 'class', 'level', 'side', 'cost', 'born', 'place', 'fails', 'crashes',
  'handoffs', 'submitted_us', 'state', 'tenant', 'model', 'crashers', 'deadline', 'fence', 'worker',
  'generation', 'cancel', 'closing', 'losses', 'alone'}
local NUMBERS, ALWAYS = 11, 15

-- The record as texts (false when missing); nil when there is none. A record that is not whole (a
-- hand has been at it, or a restore) is no job, and the second result says what it lacks: better
-- than a script that fails at a missing number after its first write.
local function job_find(id)
  local values = redis.call('HMGET', KEY_JOB .. id, unpack(FIELDS))
  local job, lacks = {id = id}, nil
  for i, field in ipairs(FIELDS) do
    local value = values[i]
    job[field] = value
    if i <= ALWAYS and not value or i <= NUMBERS and not is_number(value) then lacks = field end
  end
  if job.deadline and not is_number(job.deadline) then lacks = 'deadline' end
  if not lacks and (job.state == 'ASSIGNED' or job.state == 'RUNNING') and
    not (job.worker and job.fence and job.generation) then
    lacks = 'worker, fence or generation'
  end
  if lacks then return nil, job.state and lacks end
  return job
end

-- The same for scripts that serve this job alone: they end with an error.
local function job_load(id)
  local job, lacks = job_find(id)
  if lacks then error({err = 'RECORD job ' .. id .. ' lacks ' .. lacks}) end
  return job
end

-- A suspect has lost an attempt without proof of whose fault it was. From then on it is given out
-- alone, to be proved; records of before that know no losses.
local function losses_of(job) return tonumber(job.losses or '0') or 0 end

-- The line that a job stands in is its model's, and the suspects of a model have one of their own:
-- so that nobody who may not take them has to look past them. A model's name has no line end.
local ALONE = '\nalone'
local function lane_of(job) return losses_of(job) > 0 and job.model .. ALONE or job.model end

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
