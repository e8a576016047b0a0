-- turn: work
-- bury: QUARANTINED -> FAILED, by an operator, before QUARANTINE_MS does it.
-- ARGV id tenant
-- returns {NOT_FOUND} | {OK state} | {ALREADY state} when it is not in quarantine
-- uses: record ready lease
local job = job_load(ARGV[1])
if not job or job.tenant ~= ARGV[2] then return {'NOT_FOUND'} end
if job.state ~= 'QUARANTINED' then return {'ALREADY', job.state} end
job_end(job, 'FAILED', 'bury')
return {'OK', job.state}
