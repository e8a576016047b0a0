-- _worker: who is there. Uses _record.
local function worker_live(name, generation)
  return redis.call('HGET', KEY_WORKER .. name, 'generation') == generation
end

-- It was heard by the broker `via`: alive until WORKER_SILENT_MS from now.
local function worker_heard(name, via)
  redis.call('ZADD', KEY_WORKERS, clk, name)
  redis.call('HSET', KEY_WORKER .. name, 'state', 'ready', 'seen', digits(clk), 'via', via)
end

local function worker_models_leave(name)
  local models = redis.call('HGET', KEY_WORKER .. name, 'models') or ''
  for model in string.gmatch(models, '[^\n]+') do
    redis.call('SREM', KEY_WORKERS_OF .. model, name)
  end
end
