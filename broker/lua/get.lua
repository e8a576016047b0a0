-- turn: look
-- get: one job, for its status or a watcher.
-- ARGV id tenant
-- returns {} if there is none | {position, field, value...} with every field of the record that
--   is set
-- uses: record ready position
local job = job_load(ARGV[1])
if not job or job.tenant ~= ARGV[2] then return {} end
local fields = redis.call('HGETALL', KEY_JOB .. ARGV[1])
return {job.state == 'QUEUED' and job_position(job) or 0, unpack(fields)}
