#!lua flags=allow-oom
-- worker_hello: a worker daemon has started. It gets a generation; what an older one of the same
-- name held is closed.
-- KEYS prefix
-- ARGV worker via slots default_model hello(bytes) (model info(bytes))...
-- returns generation
-- uses: record ready lease worker
local name = ARGV[1]
for i, id in ipairs(redis.call('SMEMBERS', KEY_HELD .. name)) do
  if i > SCRIPT_LOOP_MAX then break end -- the rest lapses
  local job = held_job(name, id)
  if job then job_lapse(job, 'hello', 'the worker was started again while it ran') end
end
worker_models_leave(name)
local models = {}
for i = 6, #ARGV, 2 do
  models[#models + 1] = ARGV[i]
  redis.call('HSET', KEY_MODEL, ARGV[i], ARGV[i + 1])
  redis.call('SADD', KEY_WORKERS_OF .. ARGV[i], name)
end
if ARGV[4] ~= '' then redis.call('SET', KEY_DEFAULT_MODEL, ARGV[4]) end
local generation = digits(redis.call('INCR', KEY_GENERATION))
redis.call('HSET', KEY_WORKER .. name, 'generation', generation, 'slots', ARGV[3],
  'models', table.concat(models, '\n'), 'hello', ARGV[5])
worker_heard(name, ARGV[2], 'ready')
redis.call('PUBLISH', KEY_EVENTS, 'FLEET') -- also when it was ready before: its models may be others
return generation
