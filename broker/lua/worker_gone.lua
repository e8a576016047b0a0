-- turn: work
-- worker_gone: its connection closed. A blip must not cause a second run, so its leases are only
-- cut to LEASE_GONE_MS; the next beat of the same generation restores them. A worker that has
-- moved on to another broker is none of our business.
-- ARGV worker generation via
-- returns the number of leases cut
-- uses: record lease ready worker
local name = ARGV[1]
if not worker_live(name, ARGV[2]) then return 0 end
if redis.call('HGET', KEY_WORKER .. name, 'via') ~= ARGV[3] then return 0 end
local cut = 0
for i, id in ipairs(redis.call('SMEMBERS', KEY_HELD .. name)) do
  if i > SCRIPT_LOOP_MAX then break end
  local ends = redis.call('ZSCORE', KEY_LEASES, id)
  if ends and tonumber(ends) > clk + LEASE_GONE_MS then
    lease_give({id = id}, LEASE_GONE_MS)
    cut = cut + 1
  end
end
worker_becomes(name, 'gone')
return cut
