/* test_tables.c - the broker's tables: messages, scripts, states. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#undef fail /* cmocka has a macro of this name */

#include "broker/reply.h"
#include "broker/scripts.h"
#include "broker/terms.h"
#include "broker/verbs.h"
#include "proto/job.h"

static void test_every_message_of_a_peer_has_both_halves(void **state) {
  (void)state;
  for (unsigned number = 0; number < 256; number++) {
    const struct wire_verb_row *row = wire_verb(number);
    const struct verb *verb = verb_find((enum wire_verb)number);
    bool asked = row != NULL && (row->sender & (WIRE_FROM_CLIENT | WIRE_FROM_WORKER)) != 0;
    assert_int_equal(verb != NULL, asked);
    if (verb != NULL && row != NULL) {
      assert_string_equal(verb->name, row->name);
      assert_non_null(verb->ask);
      assert_non_null(verb->answer);
    }
  }
}

/* Who may run when Redis has no memory left: all that works the queue off, nothing
 * that fills it. */
static void test_first_lines(void **state) {
  (void)state;
  static const struct {
    const char *name, *line;
  } others[] = {
      {"admit", "#!lua\n"},
      {"trial", "#!lua\n"},
      {"look", "#!lua flags=no-writes\n"},
      {"list", "#!lua flags=no-writes\n"},
      {"explain", "#!lua flags=no-writes\n"},
      {"fleet", "#!lua flags=no-writes\n"},
      {"stats", "#!lua flags=no-writes\n"},
      {"audit", "#!lua flags=no-writes\n"},
  };
  for (size_t i = 0; i < SCRIPTS_LOADED; i++) {
    const char *line = "#!lua flags=allow-oom\n";
    for (size_t k = 0; k < sizeof others / sizeof others[0]; k++) {
      line = strcmp(others[k].name, scripts[i].name) == 0 ? others[k].line : line;
    }
    assert_int_equal(strncmp(scripts[i].source, line, strlen(line)), 0);
    assert_null(strstr(scripts[i].source, "dk:")); /* the prefix is a setting */
  }
}

/* And which ops: the first flavour that may run each. */
static void test_flavours(void **state) {
  (void)state;
  for (size_t i = SCRIPTS_LOADED; i < SCRIPTS_COUNT; i++) {
    bool admits = strcmp(scripts[i].name, "submit") == 0 || strcmp(scripts[i].name, "requeue") == 0;
    enum script flavour = admits                                ? SCRIPT_ADMIT
                          : strcmp(scripts[i].name, "get") == 0 ? SCRIPT_LOOK
                                                                : SCRIPT_WORK;
    assert_null(scripts[i].source);
    assert_int_equal(scripts[i].flavour, flavour);
  }
  assert_true(SCRIPT_ADMIT < SCRIPT_WORK && SCRIPT_WORK < SCRIPT_LOOK);
}

static void test_states(void **state) {
  (void)state;
  for (int number = 1; number <= 9; number++) {
    Darkroom__V1__JobState job_state = (Darkroom__V1__JobState)number;
    assert_int_equal(reply_state(reply_state_word(job_state)), number);
    assert_int_equal(strcasecmp(reply_state_word(job_state), job_state_name(job_state)), 0);
  }
  assert_string_equal(reply_state_word((Darkroom__V1__JobState)0), "");
  assert_string_equal(reply_state_word((Darkroom__V1__JobState)10), "");
  assert_string_equal(reply_state_word((Darkroom__V1__JobState)-1), "");
  assert_int_equal(reply_state(""), 0);
  assert_int_equal(reply_state("queued"), 0);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_every_message_of_a_peer_has_both_halves),
      cmocka_unit_test(test_first_lines),
      cmocka_unit_test(test_flavours),
      cmocka_unit_test(test_states),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
