-- _position: how many jobs of the same model stand before a QUEUED one. Uses _ready. Exact for one
-- tenant; between tenants an estimate (they take turns); at most SCRIPT_LOOP_MAX tenants are
-- looked at.
local function job_position(job)
  local ahead = redis.call('ZRANK', line_of(job.level, job.tenant, job.model), job.id) or 0
  local turns, looks = ahead, 0
  for level = 0, tonumber(job.level) do
    local last = SCRIPT_LOOP_MAX - looks - 1
    local tenants, before = redis.call('ZRANGE', tenants_of(level, job.model), 0, last), true
    for _, tenant in ipairs(tenants) do
      looks = looks + 1
      local waiting = redis.call('ZCARD', line_of(level, tenant, job.model))
      if level < tonumber(job.level) then
        ahead = ahead + waiting
      elseif tenant == job.tenant then
        before = false
      else
        ahead = ahead + math.min(waiting, turns + (before and 1 or 0))
      end
    end
    if looks >= SCRIPT_LOOP_MAX then break end
  end
  return ahead
end
