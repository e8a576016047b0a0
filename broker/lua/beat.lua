-- turn: work
-- beat: the worker lives, and so far are its jobs. Renews every lease it still has; the answers
-- are its orders. A beat for an ASSIGNED job proves that it was received, so that lease is renewed
-- too.
-- ARGV worker generation via draining(0|1) trouble(text or empty) devices(bytes, or empty: as told
--   last) cordon(text or empty: of those devices) (id fence step steps images(bytes or empty))...,
--   at most SCRIPT_LOOP_MAX
-- returns {0} when the generation is not the live one | {1, verdict...}: OK, CANCEL or STALE, in
--   the order asked
-- uses: record ready lease worker
local worker, generation = ARGV[1], ARGV[2]
if not worker_live(worker, generation) then return {0} end
worker_heard(worker, ARGV[3], ARGV[4] == '1' and 'draining' or 'ready')
worker_troubled(worker, ARGV[5])
if ARGV[6] ~= '' then worker_has(worker, ARGV[6], ARGV[7]) end
local answer = {1}
for i = 8, #ARGV, 5 do
  local job = attempt(ARGV[i], worker, generation, ARGV[i + 1])
  if job then
    lease_give(job, LEASE_RUNNING_MS)
    local step = tonumber(ARGV[i + 2])
    if step > tonumber(redis.call('HGET', KEY_JOB .. job.id, 'step') or '0') then
      job_set(job, 'step', step, 'steps', ARGV[i + 3])
      tell('STEP', job, step, ARGV[i + 3])
    end
    if ARGV[i + 4] ~= '' then tell('IMAGE', job, ARGV[i + 4]) end
  end
  answer[#answer + 1] = not job and 'STALE' or job.cancel and 'CANCEL' or 'OK'
end
return answer
