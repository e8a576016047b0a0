-- turn: work
-- fail: the worker could not finish. RETRY -> DELAYED (doubling backoff) or, at ATTEMPTS_MAX,
-- FAILED; PERMANENT -> FAILED; CRASH -> QUEUED, or QUARANTINED if it ran alone and has often
-- enough; LOST -> QUEUED, or FAILED at LOSSES_MAX; CANCELLED -> CANCELLED, or QUEUED if nobody
-- asked for it.
-- ARGV worker generation id fence kind code text jitter(0..1000) field(may be left out)
-- returns {OK state} | {ALREADY} | {STALE} | {GONE} | {CANCELLED}
-- uses: record ready lease
local job, answer = attempt(ARGV[3], ARGV[1], ARGV[2], ARGV[4], 'fail')
if not job then return {answer} end
local kind, code, text, field = ARGV[5], ARGV[6], ARGV[7], ARGV[9] or ''

local function job_delay(fails)
  local wait = BACKOFF_MS * 2 ^ (fails - 1) * (500 + ARGV[8]) / 1000
  job_detach(job, 'fail')
  redis.call('ZADD', KEY_DELAYED, clk + math.floor(wait), job.id)
  if job.deadline then redis.call('ZADD', KEY_DEADLINES, job.deadline, job.id) end
  job_move(job, 'DELAYED', 'due', digits(clk + math.floor(wait)), 'fails', fails, 'step', 0,
    'error_code', code, 'error_text', text, 'error_field', field)
  tell('REQUEUED', job)
end

if job.cancel then
  job_end(job, 'CANCELLED', 'fail')
elseif kind == 'CANCELLED' then
  job_hand_back(job, 'fail')
elseif kind == 'CRASH' then
  job_crash(job, 'fail', text)
elseif kind == 'LOST' then
  job_lose(job, 'fail', text)
elseif kind == 'RETRY' and job.fails + 1 < ATTEMPTS_MAX then
  job_delay(job.fails + 1)
else
  job_end(job, 'FAILED', 'fail', 'fails', job.fails + 1, 'error_code', code, 'error_text', text,
    'error_field', field)
end
return {'OK', job.state}
