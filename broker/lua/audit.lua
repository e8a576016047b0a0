#!lua flags=no-writes
-- audit: holds every index against the records. For a quiet moment: the one script whose loop is
-- as long as the queue.
-- ARGV -
-- returns {mismatch...}, one line each, SCRIPT_LOOP_MAX at most; none: all is well
-- uses: record
local found = {}
local function expect(truth, ...)
  if not truth and #found < SCRIPT_LOOP_MAX then found[#found + 1] = table.concat({...}, ' ') end
end

local STATES = {'QUEUED', 'ASSIGNED', 'RUNNING', 'DELAYED', 'SUCCEEDED', 'FAILED', 'CANCELLED',
  'EXPIRED', 'QUARANTINED'}
local count, depth, held, lines, readable = {}, {}, {}, {}, {}
for _, state in ipairs(STATES) do count[state] = 0 end
for class = 0, CLASSES - 1 do depth[class] = 0 end
local last_fence = tonumber(redis.call('GET', KEY_FENCE) or '0')
local ageing, deadlines = 0, 0

-- One row of an index against what the record says: score is false when there must be no row.
local function expect_row(index, id, score)
  local row = redis.call('ZSCORE', index, id)
  if not score then
    expect(not row, id, 'must not be in', index)
  else
    expect(row and tonumber(row) == tonumber(score), id, 'must be in', index, 'at', score, 'not',
      tostring(row))
  end
end

for _, id in ipairs(redis.call('ZRANGE', KEY_JOBS, 0, -1)) do
  local job, lacks = job_find(id)
  if not job then
    expect(false, id, 'is listed and has no', lacks and 'whole record: it lacks ' .. lacks or 'record')
  else
    local more = redis.call('HMGET', KEY_JOB .. id, 'lease', 'due', 'ended', 'result')
    local is_held = job.state == 'ASSIGNED' or job.state == 'RUNNING'
    local waits = job.state == 'QUEUED' or job.state == 'DELAYED'
    count[job.state] = (count[job.state] or 0) + 1
    for _, state in ipairs(STATES) do
      expect_row(KEY_STATE .. state, id, state == job.state and job.born)
    end
    local line = KEY_READY .. job.level .. ':' .. job.tenant .. ':' .. lane_of(job)
    expect_row(line, id, job.state == 'QUEUED' and job.place)
    expect_row(KEY_LEASES, id, is_held and more[1] or false)
    expect(is_held == (more[1] ~= false), id, 'has a lease and is', job.state)
    expect_row(KEY_DELAYED, id, job.state == 'DELAYED' and more[2])
    expect_row(KEY_DEADLINES, id, waits and job.deadline)
    local judged = job.state == 'QUARANTINED'
    expect_row(KEY_ENDED, id, not is_held and not waits and not judged and more[3])
    expect_row(KEY_QUARANTINE, id, judged and (more[3] or 0) + QUARANTINE_MS)
    expect((job.state == 'SUCCEEDED') == (more[4] ~= false), id, 'has a result and is', job.state)
    expect(not job.fence or tonumber(job.fence) <= last_fence, id, 'has a fence not given out yet')
    local ages = redis.call('ZSCORE', KEY_AGEING, id)
    local may_age = job.state == 'QUEUED' and tonumber(job.level) > 0
    expect((ages ~= false) == may_age, id, 'is wrong in', KEY_AGEING)
    if ages then ageing = ageing + 1 end
    if waits and job.deadline then deadlines = deadlines + 1 end
    if is_held then
      expect((losses_of(job) > 0) == (job.alone == '1'), id, 'is a suspect or not, and alone or not')
      local index = KEY_HELD .. job.worker
      expect(redis.call('SISMEMBER', index, id) == 1, id, 'is not in', index)
      held[job.worker] = (held[job.worker] or 0) + 1
    elseif job.state == 'QUEUED' then
      depth[tonumber(job.class)] = depth[tonumber(job.class)] + 1
      lines[line] = (lines[line] or 0) + 1
      readable[lane_of(job)] = true
      local tenants = KEY_TENANTS .. job.level .. ':' .. lane_of(job)
      expect(redis.call('ZSCORE', tenants, job.tenant), line, 'is not in', tenants)
    end
  end
end

local function expect_size(index, size)
  expect(redis.call('ZCARD', index) == size, index, 'does not have', size, 'rows')
end
for _, state in ipairs(STATES) do expect_size(KEY_STATE .. state, count[state]) end
expect_size(KEY_LEASES, count.ASSIGNED + count.RUNNING)
expect_size(KEY_DELAYED, count.DELAYED)
expect_size(KEY_ENDED, count.SUCCEEDED + count.FAILED + count.CANCELLED + count.EXPIRED)
expect_size(KEY_QUARANTINE, count.QUARANTINED)
expect_size(KEY_AGEING, ageing)
expect_size(KEY_DEADLINES, deadlines)
for line, size in pairs(lines) do expect_size(line, size) end
for class = 0, CLASSES - 1 do
  local counted = redis.call('HGET', KEY_COUNT, 'depth:' .. class) or '0'
  expect(tonumber(counted) == depth[class], 'class', class, 'has', depth[class], 'not', counted)
end
for _, name in ipairs(redis.call('ZRANGE', KEY_WORKERS, 0, -1)) do held[name] = held[name] or 0 end
for name, size in pairs(held) do
  local index = KEY_HELD .. name
  expect(redis.call('SCARD', index) == size, index, 'does not have', size, 'members')
end
local models = redis.call('SMEMBERS', KEY_READY_MODELS)
for _, model in ipairs(models) do
  expect(readable[model], model, 'has no line and is in', KEY_READY_MODELS)
end
for model in pairs(readable) do
  local index = KEY_READY_MODELS
  expect(redis.call('SISMEMBER', index, model) == 1, model, 'is not in', index)
end
return found
