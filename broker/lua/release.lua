-- turn: work
-- release: ASSIGNED/RUNNING -> QUEUED, at the front, no attempt used: a drain, or an assignment
-- that could not be sent.
-- ARGV worker generation id fence
-- returns {OK} | {ALREADY} | {STALE} | {GONE} | {CANCELLED}
-- uses: record ready lease
local job, answer = attempt(ARGV[3], ARGV[1], ARGV[2], ARGV[4], 'release')
if not job then return {answer} end
job_hand_back(job, 'release')
return {job.state == 'CANCELLED' and 'CANCELLED' or 'OK'}
