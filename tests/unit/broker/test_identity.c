/* test_identity.c - every verb as every role; names that are one's own; names of jobs. */
#include "broker/identity.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>
#undef fail /* cmocka has a macro of this name */

#include "broker/job_name.h"

static const unsigned roles[] = {ROLE_SUBMIT, ROLE_WORK, ROLE_OPERATE, ROLE_METRICS};
enum { ROLES = sizeof roles / sizeof roles[0] };

/* What somebody with this role alone may say. */
static const struct {
  unsigned role;
  const char *verbs;
} may[] = {
    {ROLE_SUBMIT, " SUBMIT WATCH GET LIST CANCEL EXPLAIN MODELS "},
    {ROLE_WORK, " MODELS HELLO CLAIM START BEAT COMPLETE FAIL RELEASE BYE "},
    {ROLE_OPERATE, " WATCH GET LIST CANCEL EXPLAIN MODELS STATUS REQUEUE BURY "},
    {ROLE_METRICS, " MODELS STATUS "},
};

static void test_every_verb_as_every_role(void **state) {
  (void)state;
  for (size_t i = 0; i < ROLES; i++) {
    struct tenant tenant = {.name = "acme"};
    struct identity who = {.row = {.name = "k", .tenant = "acme", .roles = roles[i]},
                           .tenant = &tenant};
    for (unsigned verb = 0; verb < 128; verb++) {
      const struct wire_verb_row *row = wire_verb(verb);
      char word[32];
      struct refusal why = {0};
      if (row == NULL) {
        continue;
      }
      snprintf(word, sizeof word, " %s ", row->name);
      bool allowed = strstr(may[i].verbs, word) != NULL;
      assert_int_equal(identity_may_say(&who, row, &why), allowed ? OK : BAD_INPUT);
      assert_int_equal(why.code, allowed ? 0 : DARKROOM__V1__ERROR_CODE__ERROR_FORBIDDEN);
      if (row->sender != WIRE_FROM_BROKER) {
        assert_int_equal(identity_may_say(&identity_open, row, &why), OK);
      }
    }
  }
}

static void test_only_operators_name_another_tenant(void **state) {
  (void)state;
  for (size_t i = 0; i < ROLES; i++) {
    struct identity who = {.row = {.tenant = "acme", .roles = roles[i]}};
    const char *tenant = "untouched";
    struct refusal why = {0};
    assert_int_equal(identity_tenant(&who, NULL, &tenant, &why), OK);
    assert_string_equal(tenant, "acme");
    assert_int_equal(identity_tenant(&who, "acme", &tenant, &why), OK);
    bool operates = roles[i] == ROLE_OPERATE;
    assert_int_equal(identity_tenant(&who, "beta", &tenant, &why), operates ? OK : BAD_INPUT);
    assert_string_equal(tenant, operates ? "beta" : "acme");
    assert_int_equal(identity_tenant(&who, "be/ta", &tenant, &why), BAD_INPUT);
  }
}

static void test_names_of_jobs_never_meet(void **state) {
  (void)state;
  static const struct {
    const char *tenant, *id, *name;
  } rows[] = {{NULL, "lake-1", "lake-1"},
              {"default", "lake-1", "lake-1"},
              {"acme", "lake-1", "acme/lake-1"},
              {"acme.lake", "1", "acme.lake/1"}};
  struct arena *arena = NULL;
  assert_int_equal(arena_open(NULL, 4096, &arena), OK);
  for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
    char tenant[JOB_ID_BYTES_MAX + 1];
    const char *name = NULL;
    assert_int_equal(job_name(arena, rows[i].tenant, rows[i].id, &name), OK);
    assert_string_equal(name, rows[i].name);
    assert_string_equal(job_name_id(name), rows[i].id);
    assert_string_equal(job_name_tenant(name, tenant),
                        rows[i].tenant != NULL ? rows[i].tenant : "default");
  }
  arena_close(&arena);
}

/* Without memory a job has no name; it must not be one that two tenants' jobs could share. */
static void test_no_name_without_memory(void **state) {
  (void)state;
  struct arena *arena = NULL;
  const char *name = NULL;
  enum status status = OK;
  assert_int_equal(arena_open(NULL, 4096, &arena), OK);
  for (int i = 0; i < 4096 && status == OK; i++) {
    name = NULL;
    status = job_name(arena, "acme", "lake-1", &name);
  }
  assert_int_equal(status, EXHAUSTED);
  assert_null(name);
  assert_int_equal(job_name(arena, "default", "lake-1", &name), OK);
  assert_string_equal(name, "lake-1");
  arena_close(&arena);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_every_verb_as_every_role),
      cmocka_unit_test(test_only_operators_name_another_tenant),
      cmocka_unit_test(test_names_of_jobs_never_meet),
      cmocka_unit_test(test_no_name_without_memory),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
