#!lua flags=no-writes
-- list: some jobs, newest first.
-- ARGV state(empty: all) tenant from count(at most SCRIPT_LOOP_MAX)
-- returns {{id born state step steps fails crashes handoffs worker fence error_code error_text
--   error_field submitted_us finished_us
--   version losses}...}; a job of another tenant is left out
-- uses:
local index = ARGV[1] == '' and KEY_JOBS or KEY_STATE .. ARGV[1]
local rows = {}
local last = ARGV[3] + math.min(ARGV[4], SCRIPT_LOOP_MAX) - 1
for _, id in ipairs(redis.call('ZREVRANGE', index, ARGV[3], last)) do
  local key = KEY_JOB .. id
  if redis.call('HGET', key, 'tenant') == ARGV[2] then
    local row = redis.call('HMGET', key, 'born', 'state', 'step', 'steps', 'fails', 'crashes',
      'handoffs', 'worker', 'fence', 'error_code', 'error_text', 'error_field', 'submitted_us',
      'finished_us', 'version', 'losses')
    rows[#rows + 1] = {id, unpack(row)}
  end
end
return rows
