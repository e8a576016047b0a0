-- turn: work
-- cancel: QUEUED/DELAYED -> CANCELLED at once; ASSIGNED/RUNNING keeps a mark that the next beat,
-- complete, fail or lapse closes; a terminal job is left alone.
-- ARGV id tenant
-- returns {NOT_FOUND} | {REMOVED state} | {SIGNALLED state} | {ALREADY state}
-- uses: record ready lease
local job = job_load(ARGV[1])
if not job or job.tenant ~= ARGV[2] then return {'NOT_FOUND'} end
if is_held(job) then
  if not job.cancel then
    job_set(job, 'cancel', 1)
    tell('CANCELLING', job)
  end
  return {'SIGNALLED', job.state}
end
if job.state == 'QUEUED' or job.state == 'DELAYED' then
  job_end(job, 'CANCELLED', 'cancel')
  return {'REMOVED', job.state}
end
return {'ALREADY', job.state}
