-- _position: how many jobs of the same lane stand before a QUEUED one. Uses _ready. Exact for one
-- tenant; between tenants an estimate (they take turns); at most SCRIPT_LOOP_MAX tenants are
-- looked at.
local function job_position(job)
  local lane = lane_of(job)
  local ahead = redis.call('ZRANK', line_of(job.level, job.tenant, lane), job.id) or 0
  local turns, looks = ahead, 0
  for level = 0, tonumber(job.level) do
    local last = SCRIPT_LOOP_MAX - looks - 1
    local tenants, before = redis.call('ZRANGE', tenants_of(level, lane), 0, last), true
    for _, tenant in ipairs(tenants) do
      looks = looks + 1
      local waiting = redis.call('ZCARD', line_of(level, tenant, lane))
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
