#!lua flags=allow-oom
-- tick: moves the logical clock by the time since the last tick, at most CLOCK_STEP_MS_MAX and
-- never back, so that wall jumps, pauses and outages cost next to nothing. Every broker calls it
-- every TICK_MS.
-- ARGV -
-- returns the clock in ms
-- uses:
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local last = tonumber(redis.call('GET', KEY_CLOCK_WALL) or now)
local step = math.max(0, math.min(now - last, CLOCK_STEP_MS_MAX))
redis.call('SET', KEY_CLOCK_WALL, string.format('%.0f', now))
return redis.call('INCRBY', KEY_CLOCK, step)
