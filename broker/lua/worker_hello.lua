-- turn: work
-- worker_hello: a worker daemon has started. It gets a generation; what an older one of the same
-- name held is closed. While another daemon lives under that name it is refused: the same one,
-- started again, is known by its token. Daemons of before say none.
-- ARGV worker via slots default_model hello(bytes) (model info(bytes))... [token and host, a space
--   between them; then a line for each thing that a job may name: its kind (0: a model) and id]
-- returns generation | {TAKEN host since_us heard_ms_ago}
-- uses: record ready lease worker
local name = ARGV[1]
local identity = #ARGV % 2 == 0 and ARGV[#ARGV] or ''
local token, host, extras = string.match(identity, '^(%S*) ?([^\n]*)(.*)$')

-- A closed connection is waited for as long as its leases are: it may only have blinked.
local was = redis.call('HMGET', KEY_WORKER .. name, 'token', 'state', 'seen', 'host', 'since')
local heard_ago = clk - tonumber(was[3] or '0')
local is_alive = heard_ago <= (was[2] == 'gone' and LEASE_GONE_MS or WORKER_SILENT_MS)
if was[1] and was[1] ~= '' and was[1] ~= token and is_alive then
  return {'TAKEN', was[4] or '', was[5] or '0', digits(heard_ago)}
end
for i, id in ipairs(redis.call('SMEMBERS', KEY_HELD .. name)) do
  if i > SCRIPT_LOOP_MAX then break end -- the rest lapses
  local job = held_job(name, id)
  if job then job_lapse(job, 'hello', 'the worker was started again while it ran') end
end
worker_models_leave(name)
local models = {}
for i = 6, #ARGV - 1, 2 do
  models[#models + 1] = ARGV[i]
  redis.call('HSET', KEY_MODEL, ARGV[i], ARGV[i + 1])
  redis.call('SADD', KEY_WORKERS_OF .. ARGV[i], name)
end
-- Models are remembered without workers, for a fleet that is scaled to zero; when there are too many,
-- those that nobody has and nothing waits for are forgotten.
if redis.call('HLEN', KEY_MODEL) > FLEET_MODELS_MAX then
  for _, model in ipairs(redis.call('HKEYS', KEY_MODEL)) do
    if redis.call('SCARD', KEY_WORKERS_OF .. model) == 0 and
      redis.call('SISMEMBER', KEY_READY_MODELS, model) == 0 then
      redis.call('HDEL', KEY_MODEL, model)
    end
  end
end
if ARGV[4] ~= '' then redis.call('SET', KEY_DEFAULT_MODEL, ARGV[4]) end
local generation = digits(redis.call('INCR', KEY_GENERATION))
redis.call('HSET', KEY_WORKER .. name, 'generation', generation, 'slots', ARGV[3],
  'models', table.concat(models, '\n'), 'hello', ARGV[5], 'token', token, 'host', host,
  'extras', extras, 'since', digits(wall_us()))
worker_heard(name, ARGV[2], 'ready')
worker_troubled(name, '')
worker_has(name, '', '')
redis.call('PUBLISH', KEY_EVENTS, 'FLEET') -- also when it was ready before: its models may be others
return generation
