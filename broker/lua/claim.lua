-- turn: work
-- claim: QUEUED -> ASSIGNED, as many as the worker has credits for and the queue has work that
-- fits. Highest level first; within a level, over all models it has credits for, the tenant with
-- the least virtual start; within a tenant the oldest place. A suspect is the last that a claim
-- gives: it must run alone, so it uses up all credits.
-- ARGV worker generation via fresh(1: the worker has just said these credits, 0: it said them
--   before an earlier claim) (model jobs max_side)... [total(left out: the sum of the jobs)
--   [alone(1: it will run a job alone, 0: not now; left out: it has never heard of it)]]
-- returns {STALE} when the generation is not the live one | {WITHHELD} when these credits do not
--   count: it drains, or fell silent after it said them | {OK, {id fence queued_us job
--   alone(0|1)}...}
-- uses: record ready lease worker
local worker, generation = ARGV[1], ARGV[2]
local known = redis.call('HMGET', KEY_WORKER .. worker, 'generation', 'state', 'extras')
if known[1] ~= generation then return {'STALE'} end
if known[2] ~= 'ready' then
  if known[2] == 'draining' or ARGV[4] ~= '1' then return {'WITHHELD'} end
  worker_heard(worker, ARGV[3], 'ready')
end
local now_us, looks = wall_us(), 0

-- The first job of the line that the worker can do: not too large for it, and it has all that the
-- job names; past deadlines are closed on the way. What one claim can look at is bounded, so how far
-- it came in this line is kept with the worker, and the next claim goes on from there: else jobs
-- that are not for it would hide all that stand behind them for ever.
local function line_pick(level, tenant, lane, max_side)
  local line, of_worker = line_of(level, tenant, lane), KEY_WORKER .. worker
  local field = 'past:' .. line
  local past = redis.call('HGET', of_worker, field)
  local from, last = past and '(' .. past or '-inf', SCRIPT_LOOP_MAX - looks + 1
  for _, id in ipairs(redis.call('ZRANGE', line, from, '+inf', 'BYSCORE', 'LIMIT', 0, last)) do
    looks = looks + 1
    local job = job_find(id)
    local row = job and redis.call('HMGET', KEY_JOB .. id, 'job', 'extras') or {}
    local packed = row[1]
    if not packed or job.state ~= 'QUEUED' then
      redis.call('ZREM', line, id) -- a stray row: audit would name it
    elseif job.deadline and tonumber(job.deadline) < clk then
      job_expire(job)
    elseif tonumber(job.side) <= max_side and worker_can(known[3], row[2]) then
      job.packed = packed
      return job
    else
      redis.call('HSET', of_worker, field, job.place)
    end
  end
end

local function pick(level, lane, max_side)
  local tenants, skip = tenants_of(level, lane), 0
  while looks < SCRIPT_LOOP_MAX do
    looks = looks + 1
    local row = redis.call('ZRANGE', tenants, skip, skip, 'WITHSCORES')
    if not row[1] then return nil end
    local start = virtual_start(level, row[1])
    if start > tonumber(row[2]) then
      redis.call('ZADD', tenants, start, row[1])
    else
      local job = line_pick(level, row[1], lane, max_side)
      if job then return job end
      skip = skip + 1
    end
  end
end

local function assign(job, alone)
  local tenants = tenants_of(job.level, lane_of(job))
  line_leave(job)
  line_charge(job)
  redis.call('ZADD', tenants, 'XX', virtual_start(job.level, job.tenant), job.tenant)
  job.fence, job.worker, job.generation = digits(redis.call('INCR', KEY_FENCE)), worker, generation
  job_move(job, 'ASSIGNED', 'fence', job.fence, 'worker', worker, 'generation', generation,
    'alone', alone)
  redis.call('SADD', KEY_HELD .. worker, job.id)
  lease_give(job, LEASE_ASSIGNED_MS)
  local queued_us = math.max(0, now_us - job.submitted_us)
  return {job.id, job.fence, digits(queued_us), job.packed, alone}
end

-- Whether a stands before b, both of this level.
local function stands_before(level, a, b)
  local a_start, b_start = virtual_start(level, a.tenant), virtual_start(level, b.tenant)
  if a.tenant == b.tenant or a_start == b_start then
    return tonumber(a.place) < tonumber(b.place)
  end
  return a_start < b_start
end

-- The credits of lanes with any line. Whose turn it is to be looked at first goes round with the
-- fences: where the looks end before the models do, it is not always the same that goes empty.
local rows = math.floor((#ARGV - 4) / 3)
local total, alone = ARGV[5 + rows * 3], ARGV[6 + rows * 3]
local holds = redis.call('SCARD', KEY_HELD .. worker)
local heard_of_it = alone ~= nil
if not heard_of_it then
  -- Then alone is what it gets while it holds nothing, and it gets nothing beside it.
  local lone = redis.call('HGET', KEY_WORKER .. worker, 'lone')
  if lone and redis.call('SISMEMBER', KEY_HELD .. worker, lone) == 1 then return {'OK'} end
  alone = holds == 0 and '1' or '0'
end
local credits, sum = {}, 0
local function add_credit(lane, jobs, side, lone)
  if redis.call('SISMEMBER', KEY_READY_MODELS, lane) == 1 then
    credits[#credits + 1] = {lane = lane, jobs = jobs, side = tonumber(side), lone = lone}
  end
end
local turn = tonumber(redis.call('GET', KEY_FENCE) or '0')
for n = 1, rows do
  local at = 5 + (n + turn) % rows * 3
  local jobs = tonumber(ARGV[at + 1])
  if jobs > 0 then
    sum = sum + jobs
    add_credit(ARGV[at], jobs, ARGV[at + 2], 0)
    if alone == '1' then add_credit(ARGV[at] .. ALONE, 1, ARGV[at + 2], 1) end
  end
end
total = total and math.min(sum, tonumber(total)) or sum

-- The first job of each lane, kept until it is given; false: there is none.
local function best_head(level, heads)
  local best
  for i, credit in ipairs(credits) do
    if heads[i] == nil and credit.jobs > 0 then
      heads[i] = pick(level, credit.lane, credit.side) or false
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
    local credit = credits[best]
    if credit.lone == 0 or heard_of_it or #given == 1 then
      given[#given + 1] = assign(heads[best], credit.lone)
      total = credit.lone == 1 and 0 or total - 1
      if credit.lone == 1 then redis.call('HSET', KEY_WORKER .. worker, 'lone', given[#given][1]) end
    end
    heads[best], credit.jobs = nil, credit.lone == 1 and 0 or credit.jobs - 1
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
