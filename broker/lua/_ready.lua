-- _ready: the lines of waiting jobs. Uses _record. A line holds the jobs of one tenant, lane
-- (lane_of) and level (0 is served first); its score is the place, a number that only grows, so a
-- job that comes back goes in front of all that came after it. Between the tenants of a level
-- stands start-time fair queueing: a tenant's virtual start grows by the cost of each job it is
-- given, the least is served next, and one that was idle enters at the present virtual time. The
-- scores in KEY_TENANTS are lower bounds, mended when they are met.
local function line_of(level, tenant, lane)
  return KEY_READY .. level .. ':' .. tenant .. ':' .. lane
end
local function tenants_of(level, lane) return KEY_TENANTS .. level .. ':' .. lane end

local function virtual_start(level, tenant)
  return tonumber(redis.call('HGET', KEY_SERVICE, level .. ':' .. tenant) or '0') or 0
end

-- There is work. origin names the broker that will offer it to its own workers anyway, '-' if none
-- will.
local function wake(model, origin)
  redis.call('PUBLISH', KEY_EVENTS, 'WAKE ' .. (origin or '-') .. ' ' .. model)
end

-- Puts the job into its line, and into the indexes of all that can happen to it while it waits.
local function line_enter(job)
  local lane = lane_of(job)
  local line, tenants = line_of(job.level, job.tenant, lane), tenants_of(job.level, lane)
  local start = virtual_start(job.level, job.tenant)
  if redis.call('EXISTS', line) == 0 then
    start = math.max(start, tonumber(redis.call('HGET', KEY_SERVICE, job.level) or '0'))
    redis.call('HSET', KEY_SERVICE, job.level .. ':' .. job.tenant, digits(start))
    redis.call('SADD', KEY_READY_MODELS, lane)
  end
  redis.call('ZADD', tenants, start, job.tenant)
  redis.call('ZADD', line, job.place, job.id)
  redis.call('HINCRBY', KEY_COUNT, 'depth:' .. job.class, 1)
  if tonumber(job.level) > 0 then redis.call('ZADD', KEY_AGEING, clk + AGEING_MS, job.id) end
  if job.deadline then redis.call('ZADD', KEY_DEADLINES, job.deadline, job.id) end
end

local function line_leave(job)
  local lane = lane_of(job)
  local line, tenants = line_of(job.level, job.tenant, lane), tenants_of(job.level, lane)
  redis.call('ZREM', line, job.id)
  redis.call('ZREM', KEY_AGEING, job.id)
  redis.call('ZREM', KEY_DEADLINES, job.id)
  redis.call('HINCRBY', KEY_COUNT, 'depth:' .. job.class, -1)
  if redis.call('EXISTS', line) == 1 then return end
  redis.call('ZREM', tenants, job.tenant)
  for level = 0, CLASSES - 1 do
    if redis.call('EXISTS', tenants_of(level, lane)) == 1 then return end
  end
  redis.call('SREM', KEY_READY_MODELS, lane)
end

-- The tenant of the job has been served: it pays, and the virtual time of the level moves on.
local function line_charge(job)
  local start = virtual_start(job.level, job.tenant)
  local now = tonumber(redis.call('HGET', KEY_SERVICE, job.level) or '0')
  redis.call('HSET', KEY_SERVICE, job.level .. ':' .. job.tenant, digits(start + job.cost),
    job.level, digits(math.max(now, start)))
end

-- It came back without work done: the tenant gets its cost back.
local function line_refund(job)
  local start = math.max(0, virtual_start(job.level, job.tenant) - job.cost)
  redis.call('HSET', KEY_SERVICE, job.level .. ':' .. job.tenant, digits(start))
end
