-- turn: admit
-- requeue: QUARANTINED -> QUEUED, by an operator: in front of all that came after it, its attempts
-- forgotten. One past its deadline would only expire, and is left where it is.
-- ARGV id tenant
-- returns {NOT_FOUND} | {OK state} | {ALREADY state} when it is not in quarantine | {LATE state}
-- uses: record ready lease
local job = job_load(ARGV[1])
if not job or job.tenant ~= ARGV[2] then return {'NOT_FOUND'} end
if job.state ~= 'QUARANTINED' then return {'ALREADY', job.state} end
if job.deadline and tonumber(job.deadline) < clk then return {'LATE', job.state} end
redis.call('HINCRBY', KEY_JOB .. job.id, 'requeues', 1)
job.losses = '0' -- first: it decides in which line it stands
job_requeue(job, 'requeue', 'fails', 0, 'crashes', 0, 'crashers', '', 'handoffs', 0, 'losses', 0)
return {'OK', job.state}
