-- turn: work
-- start: ASSIGNED -> RUNNING. Past its deadline a job never starts; a cancelled one is closed
-- here.
-- ARGV worker generation id fence
-- returns {OK queue_us} | {ALREADY} | {STALE} | {GONE} | {CANCELLED}
-- uses: record ready lease
local job, answer = attempt(ARGV[3], ARGV[1], ARGV[2], ARGV[4])
if not job then return {answer} end
if job.state == 'RUNNING' then return {'ALREADY'} end
if job.cancel then
  job_end(job, 'CANCELLED', 'start')
  return {'CANCELLED'}
end
if job.deadline and tonumber(job.deadline) < clk then
  job_expire(job)
  return {'STALE'}
end
local now = wall_us()
lease_give(job, LEASE_RUNNING_MS)
job_move(job, 'RUNNING', 'started_us', digits(now))
tell('STARTED', job, job.fence, job.worker)
return {'OK', digits(math.max(0, now - job.submitted_us))}
