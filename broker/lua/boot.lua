#!lua flags=allow-oom
-- boot: a broker has connected. On a Redis run not seen before the fence jumps, because the
-- counter may have been rolled back by a restore or failover and must never repeat; and the time
-- that nobody ticked is not charged to any lease.
-- ARGV run (Redis's run_id)
-- returns 1 on a new run, 0 otherwise
-- uses:
if redis.call('GET', KEY_RUN) == ARGV[1] then return 0 end
local time = redis.call('TIME')
redis.call('SET', KEY_RUN, ARGV[1])
redis.call('INCRBY', KEY_FENCE, FENCE_JUMP)
local now = time[1] * 1000 + math.floor(time[2] / 1000)
redis.call('SET', KEY_CLOCK_WALL, string.format('%.0f', now))
return 1
