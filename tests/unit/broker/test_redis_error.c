/* test_redis_error.c - every error reply that Redis is known to give falls into its class, and what
 * stands of Redis follows from the replies. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#undef fail /* cmocka has a macro of this name */

#include "base/clock.h"
#include "broker/standing.h"

/* As Redis 7.0, 7.2 and Valkey 8 say it, inside scripts and outside. */
static const struct {
  const char *text;
  enum redis_error_class class;
  bool anew;
} replies[] = {
    {"READONLY You can't write against a read only replica.", REDIS_WRONG_SERVER, true},
    {"READONLY You can not run script with write flag on readonly replica.", REDIS_WRONG_SERVER,
     true},
    {"MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.",
     REDIS_WRONG_SERVER, true},
    {"NOREPLICAS Not enough good replicas to write.", REDIS_WRONG_SERVER, true},
    {"MOVED 3999 127.0.0.1:6381", REDIS_WRONG_SERVER, true},
    {"ASK 3999 127.0.0.1:6381", REDIS_WRONG_SERVER, true},
    {"REDIRECT 127.0.0.1:6381", REDIS_WRONG_SERVER, true},
    {"CLUSTERDOWN The cluster is down", REDIS_WRONG_SERVER, true},
    {"LOADING Redis is loading the dataset in memory", REDIS_BUSY, false},
    {"BUSY Redis is busy running a script. You can only call SCRIPT KILL or SHUTDOWN NOSAVE.",
     REDIS_BUSY, false},
    {"UNKILLABLE Sorry the script already executed write commands against the dataset.", REDIS_BUSY,
     false},
    {"TRYAGAIN Multiple keys request during rehashing of slot", REDIS_BUSY, false},
    {"ERR max number of clients reached", REDIS_BUSY, true},
    {"ERR max number of clients + cluster connections reached", REDIS_BUSY, true},
    {"OOM command not allowed when used memory > 'maxmemory'.", REDIS_FULL, false},
    {"OOM allow-oom flag is not set on the script, can not run it when used memory > 'maxmemory'",
     REDIS_FULL, false},
    {"MISCONF Errors writing to the AOF file: No space left on device", REDIS_UNSAVED, false},
    {"MISCONF Redis is configured to save RDB snapshots, but it's currently unable to persist to "
     "disk.",
     REDIS_UNSAVED, false},
    {"NOPERM this user has no permissions to run the 'evalsha' command", REDIS_FORBIDDEN, false},
    {"NOPERM User box has no permissions to access the 'dk:jobs' key", REDIS_FORBIDDEN, false},
    {"ERR The user executing the script can't publish to the channel mentioned in the command "
     "script: ed38, on @user_script:2.",
     REDIS_FORBIDDEN, false},
    {"NOPERM ACL failure in script: User box can't run this command", REDIS_FORBIDDEN, false},
    {"NOAUTH Authentication required.", REDIS_FORBIDDEN, true},
    {"WRONGPASS invalid username-password pair or user is disabled.", REDIS_FORBIDDEN, true},
    {"DENIED Redis is running in protected mode because protected mode is enabled", REDIS_FORBIDDEN,
     true},
    {"ERR AUTH <password> called without any password configured for the default user. Are you "
     "sure your configuration is correct?",
     REDIS_FORBIDDEN, true},
    {"ERR Client sent AUTH, but no password is set", REDIS_FORBIDDEN, true},
    {"ERR invalid password", REDIS_FORBIDDEN, true},
    {"ERR DB index is out of range", REDIS_FORBIDDEN, false},
    {"ERR SELECT is not allowed in cluster mode", REDIS_FORBIDDEN, false},
    {"ERR unknown command 'CONFIG', with args beginning with: 'GET' ", REDIS_FORBIDDEN, false},
    {"ERR unknown command `INFO`", REDIS_FORBIDDEN, false},
    {"ERR Unknown Redis command called from script script: ed38", REDIS_FORBIDDEN, false},
    {"ERR This Redis command is not allowed from script", REDIS_FORBIDDEN, false},
    {"ERR Invalid command passed to redis.acl_check_cmd() script: 6f26", REDIS_FORBIDDEN, false},
    {"NOSCRIPT No matching script. Please use EVAL.", REDIS_SCRIPT_GONE, false},
    {"EXECABORT Transaction discarded because of previous errors.", REDIS_OURS, false},
    {"WRONGTYPE Operation against a key holding the wrong kind of value", REDIS_OURS, false},
    {"CROSSSLOT Keys in request don't hash to the same slot", REDIS_OURS, false},
    {"RECORD job lake-1 lacks cost script: d664", REDIS_OURS, false},
    {"ERR user_script:2: attempt to perform arithmetic on a nil value script: a42d", REDIS_OURS,
     false},
    {"ERR syntax error", REDIS_OURS, false},
    {"ERR", REDIS_OURS, false},
    {"", REDIS_OURS, false},
    {"BUSYGROUP Consumer Group name already exists", REDIS_OURS, false},
    {"BUSYKEY Target key name already exists.", REDIS_OURS, false},
    {"NOPERMISSION of another kind", REDIS_OURS, false},
    {"LOADING", REDIS_BUSY, false},
};

static void test_every_reply_has_its_class(void **state) {
  (void)state;
  bool seen[REDIS_ERROR_CLASSES] = {false};
  for (size_t i = 0; i < sizeof replies / sizeof replies[0]; i++) {
    struct redis_error error = redis_error_read(replies[i].text);
    if (error.class != replies[i].class || error.anew != replies[i].anew) {
      print_error("%s: %s\n", replies[i].text, redis_error_class(error.class)->name);
    }
    assert_int_equal(error.class, replies[i].class);
    assert_int_equal(error.anew, replies[i].anew);
    seen[error.class] = true;
  }
  for (int class = 0; class < REDIS_ERROR_CLASSES; class ++) {
    const struct redis_error_class_row *row = redis_error_class((enum redis_error_class) class);
    assert_true(seen[class]);
    assert_true(row->name != NULL && row->words != NULL && row->status != OK);
  }
}

static void test_what_a_class_means(void **state) {
  (void)state;
  assert_int_equal(redis_error_class(REDIS_FULL)->status, EXHAUSTED);
  assert_int_equal(redis_error_class(REDIS_OURS)->status, BROKEN);
  assert_int_equal(redis_error_class(REDIS_WRONG_SERVER)->status, UNAVAILABLE);
  assert_true(redis_error_class(REDIS_FORBIDDEN)->final_at_start);
  assert_true(redis_error_class(REDIS_OURS)->final_at_start);
  assert_false(redis_error_class(REDIS_WRONG_SERVER)->final_at_start);
  assert_false(redis_error_class(REDIS_BUSY)->final_at_start);
  assert_false(redis_error_class(REDIS_FULL)->final_at_start);
}

static void test_standing(void **state) {
  (void)state;
  struct standing standing = {0};
  char line[256];
  assert_true(standing_is_good(&standing, line, sizeof line));
  assert_string_equal(line, "");
  clock_hold(1000, 0);
  standing_refused(&standing, SCRIPT_SUBMIT, REDIS_FULL, "OOM command not allowed\r\nno more");
  clock_hold(4500, 0);
  standing_refused(&standing, SCRIPT_SUBMIT, REDIS_FULL, "OOM command not allowed");
  assert_false(standing_is_good(&standing, line, sizeof line));
  assert_string_equal(line, "Redis refuses submit for 3 s (full): OOM command not allowed");
  standing_refused(&standing, SCRIPT_WORKER_HELLO, REDIS_FORBIDDEN, "NOPERM x");
  standing_refused(&standing, STANDING_EVENTS, REDIS_FORBIDDEN, "NOPERM y");
  assert_false(standing_is_good(&standing, line, sizeof line));
  assert_non_null(strstr(line, "submit (and 2 more) for 3 s"));
  standing_worked(&standing, SCRIPT_SUBMIT);
  assert_false(standing_is_good(&standing, line, sizeof line));
  assert_non_null(strstr(line, "worker_hello (and 1 more) for 0 s (forbidden): NOPERM x"));
  /* A trial that works has shown that it is over; but not what is our own fault, nor the events. */
  standing_refused(&standing, SCRIPT_GET, REDIS_OURS, "RECORD z");
  standing_worked(&standing, SCRIPT_TRIAL);
  assert_false(standing_is_good(&standing, line, sizeof line));
  assert_non_null(strstr(line, "get (and 1 more)"));
  clock_hold(4500 + STANDING_FORGET_MS, 0);
  standing_worked(&standing, SCRIPT_TRIAL);
  assert_false(standing_is_good(&standing, line, sizeof line));
  assert_non_null(strstr(line, "get (and 1 more) for 10 s (ours): RECORD z"));
  clock_hold(4500 + STANDING_FORGET_MS + 1, 0);
  standing_worked(&standing, SCRIPT_TRIAL);
  assert_false(standing_is_good(&standing, line, sizeof line));
  assert_non_null(strstr(line, "Redis refuses events for 10 s (forbidden): NOPERM y"));
  standing_worked(&standing, STANDING_EVENTS);
  assert_true(standing_is_good(&standing, line, sizeof line));
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_every_reply_has_its_class),
      cmocka_unit_test(test_what_a_class_means),
      cmocka_unit_test(test_standing),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
