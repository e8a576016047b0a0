#!lua flags=allow-oom
-- claim: QUEUED -> ASSIGNED, as many as the worker has credits for and the queue has work that
-- fits. Highest level first; within a level, over all models it has credits for, the tenant with
-- the least virtual start; within a tenant the oldest place.
-- KEYS prefix
-- ARGV worker generation via fresh(1: the worker has just said these credits, 0: it said them
--   before an earlier claim) (model jobs max_side)... [total(left out: the sum of the jobs)]
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
-- way. What one claim can look at is bounded, so how far it came in this line is kept with the
-- worker, and the next claim goes on from there: else jobs that are too large for it would hide all
-- that stand behind them for ever.
local function line_pick(level, tenant, model, max_side)
  local line, row = line_of(level, tenant, model), KEY_WORKER .. worker
  local field = 'past:' .. line
  local past = redis.call('HGET', row, field)
  local from, last = past and '(' .. past or '-inf', SCRIPT_LOOP_MAX - looks + 1
  for _, id in ipairs(redis.call('ZRANGE', line, from, '+inf', 'BYSCORE', 'LIMIT', 0, last)) do
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
    else
      redis.call('HSET', row, field, job.place)
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

-- Whether a stands before b, both of this level.
local function stands_before(level, a, b)
  local a_start, b_start = virtual_start(level, a.tenant), virtual_start(level, b.tenant)
  if a.tenant == b.tenant or a_start == b_start then
    return tonumber(a.place) < tonumber(b.place)
  end
  return a_start < b_start
end

-- The credits of models with any line. Whose turn it is to be looked at first goes round with the
-- fences: where the looks end before the models do, it is not always the same that goes empty.
local credits, total = {}, 0
local rows = math.floor((#ARGV - 4) / 3)
local turn = tonumber(redis.call('GET', KEY_FENCE) or '0')
for n = 1, rows do
  local at = 5 + (n + turn) % rows * 3
  local jobs = tonumber(ARGV[at + 1])
  if jobs > 0 and redis.call('SISMEMBER', KEY_READY_MODELS, ARGV[at]) == 1 then
    credits[#credits + 1] = {model = ARGV[at], jobs = jobs, side = tonumber(ARGV[at + 2])}
    total = total + jobs
  end
end
if #ARGV > 4 + rows * 3 then total = math.min(total, tonumber(ARGV[5 + rows * 3])) end

-- The first job of each model, kept until it is given; false: there is none.
local function best_head(level, heads)
  local best
  for i, credit in ipairs(credits) do
    if heads[i] == nil and credit.jobs > 0 then
      heads[i] = pick(level, credit.model, credit.side) or false
    end
    local head = credit.jobs > 0 and heads[i]
    if head and (not best or stands_before(level, head, heads[best])) then best = i end
  end
  return best
end

local given = {'OK'}
for level = 0, CLASSES - 1 do
  local heads = {}
  local best = total > 0 and best_head(level, heads)
  while best do
    given[#given + 1] = assign(heads[best])
    heads[best], credits[best].jobs, total = nil, credits[best].jobs - 1, total - 1
    best = total > 0 and best_head(level, heads)
  end
end
-- Everything has been looked at: the next claim begins at the front again.
if looks < SCRIPT_LOOP_MAX then
  for _, field in ipairs(redis.call('HKEYS', KEY_WORKER .. worker)) do
    if string.sub(field, 1, 5) == 'past:' then redis.call('HDEL', KEY_WORKER .. worker, field) end
  end
end
return given
