#!lua flags=allow-oom
-- claim: QUEUED -> ASSIGNED, as many as the worker has credits for and the queue has work that
-- fits. Highest level first; within a level the tenant with the least virtual start; within a
-- tenant the oldest place.
-- KEYS prefix
-- ARGV worker generation via fresh(1: the worker has just said these credits, 0: it said them
--   before an earlier claim) (model jobs max_side)...
-- returns {STALE} when the generation is not the live one | {WITHHELD} when these credits do not
--   count: it drains, or fell silent after it said them | {OK, {id fence queued_us job}...}
-- uses: record ready lease worker
local worker, generation = ARGV[1], ARGV[2]
local known = redis.call('HMGET', KEY_WORKER .. worker, 'generation', 'state')
if known[1] ~= generation then return {'STALE'} end
if known[2] ~= 'ready' then
  if known[2] == 'draining' or ARGV[4] ~= '1' then return {'WITHHELD'} end
  worker_heard(worker, ARGV[3], 'ready')
end
local now_us, looks = wall_us(), 0

-- The first job of the line that is not too large for the worker; past deadlines are closed on the
-- way.
local function line_pick(level, tenant, model, max_side)
  local line = line_of(level, tenant, model)
  for _, id in ipairs(redis.call('ZRANGE', line, 0, SCRIPT_LOOP_MAX - looks)) do
    looks = looks + 1
    local job = job_find(id)
    local packed = job and redis.call('HGET', KEY_JOB .. id, 'job')
    if not packed or job.state ~= 'QUEUED' then
      redis.call('ZREM', line, id) -- a stray row: audit would name it
    elseif job.deadline and tonumber(job.deadline) < clk then
      job_expire(job)
    elseif tonumber(job.side) <= max_side then
      job.packed = packed
      return job
    end
  end
end

local function pick(level, model, max_side)
  local tenants, skip = tenants_of(level, model), 0
  while looks < SCRIPT_LOOP_MAX do
    looks = looks + 1
    local row = redis.call('ZRANGE', tenants, skip, skip, 'WITHSCORES')
    if not row[1] then return nil end
    local start = virtual_start(level, row[1])
    if start > tonumber(row[2]) then
      redis.call('ZADD', tenants, start, row[1])
    else
      local job = line_pick(level, row[1], model, max_side)
      if job then return job end
      skip = skip + 1
    end
  end
end

local function assign(job)
  local tenants = tenants_of(job.level, job.model)
  line_leave(job)
  line_charge(job)
  redis.call('ZADD', tenants, 'XX', virtual_start(job.level, job.tenant), job.tenant)
  job.fence, job.worker, job.generation = digits(redis.call('INCR', KEY_FENCE)), worker, generation
  job_move(job, 'ASSIGNED', 'fence', job.fence, 'worker', worker, 'generation', generation)
  redis.call('SADD', KEY_HELD .. worker, job.id)
  lease_give(job, LEASE_ASSIGNED_MS)
  local queued_us = math.max(0, now_us - job.submitted_us)
  return {job.id, job.fence, digits(queued_us), job.packed}
end

local given = {'OK'}
for level = 0, CLASSES - 1 do
  for i = 5, #ARGV, 3 do
    while tonumber(ARGV[i + 1]) > 0 do
      local job = pick(level, ARGV[i], tonumber(ARGV[i + 2]))
      if not job then break end
      given[#given + 1] = assign(job)
      ARGV[i + 1] = ARGV[i + 1] - 1
    end
  end
end
return given
