-- turn: work
-- complete: ASSIGNED/RUNNING -> SUCCEEDED, by the live attempt alone. A cancel that was recorded
-- first wins.
-- ARGV worker generation id fence result(bytes)
-- returns {OK total_us} | {ALREADY} | {STALE} | {GONE} | {CANCELLED}
-- uses: record ready lease
local job, answer = attempt(ARGV[3], ARGV[1], ARGV[2], ARGV[4], 'complete')
if not job then return {answer} end
if job.cancel then
  job_end(job, 'CANCELLED', 'complete')
  return {'CANCELLED'}
end
job_end(job, 'SUCCEEDED', 'complete', 'result', ARGV[5])
return {'OK', digits(math.max(0, wall_us() - job.submitted_us))}
