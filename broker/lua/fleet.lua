#!lua flags=no-writes
-- fleet: the models and the workers that are known.
-- ARGV devices(0|1)
-- returns {default_model, {model info(bytes)...}, {{name generation state held
--   hello(bytes) trouble devices(bytes; empty unless asked for)}...}}; the FLEET_WORKERS_MAX
--   workers heard last: what a job may be is decided by all of them, so this loop is as long as the
--   fleet (2 ms for a thousand)
-- uses:
local workers = {}
for _, name in ipairs(redis.call('ZREVRANGE', KEY_WORKERS, 0, FLEET_WORKERS_MAX - 1)) do
  local row = redis.call('HMGET', KEY_WORKER .. name, 'generation', 'state', 'hello', 'trouble')
  local devices = ARGV[1] == '1' and redis.call('HGET', KEY_WORKER .. name, 'devices')
  workers[#workers + 1] = {name, row[1], row[2], redis.call('SCARD', KEY_HELD .. name), row[3],
    row[4] or '', devices or ''}
end
return {redis.call('GET', KEY_DEFAULT_MODEL) or '', redis.call('HGETALL', KEY_MODEL), workers}
