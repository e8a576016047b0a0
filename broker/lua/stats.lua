#!lua flags=no-writes
-- stats: how full the queue is.
-- ARGV -
-- returns {queued assigned running delayed succeeded failed cancelled expired quarantined
--   oldest_wait_ms
--   depth of class 0, 1, 2}; the ended ones since the queue was created
-- uses: record
local stats = {}
for _, state in ipairs({'QUEUED', 'ASSIGNED', 'RUNNING', 'DELAYED'}) do
  stats[#stats + 1] = redis.call('ZCARD', KEY_STATE .. state)
end
for _, state in ipairs({'SUCCEEDED', 'FAILED', 'CANCELLED', 'EXPIRED', 'QUARANTINED'}) do
  stats[#stats + 1] = tonumber(redis.call('HGET', KEY_COUNT, state) or '0')
end
local oldest = redis.call('ZRANGE', KEY_STATE .. 'QUEUED', 0, 0)[1]
local since = oldest and tonumber(redis.call('HGET', KEY_JOB .. oldest, 'submitted_us') or '')
local wait_us = since and wall_us() - since or 0
stats[#stats + 1] = math.max(0, math.floor(wait_us / 1000))
for class = 0, CLASSES - 1 do
  stats[#stats + 1] = tonumber(redis.call('HGET', KEY_COUNT, 'depth:' .. class) or '0')
end
return stats
