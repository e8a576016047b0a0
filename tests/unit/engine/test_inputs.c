/* test_inputs.c - what jobs bring along. */
#include "tests/unit/engine/fake_engine.h"

static void what_cannot_be_used_is_refused_by_its_field(void **state) {
  static const char *const fields[INPUT_KINDS] = {"image", "mask", "control", "adapter",
                                                  "embedding"};
  static const uint8_t pixels[64 * 64 * 3];
  struct fixture *fixture = *state;
  for (int kind = 0; kind < INPUT_KINDS; kind++) {
    struct engine_input input = {.kind = (enum input_kind)kind,
                                 .width = 64,
                                 .height = 64,
                                 .channels = 3,
                                 .data = pixels,
                                 .bytes = sizeof pixels};
    char id[32];
    snprintf(id, sizeof id, "brings-%d", kind);
    Darkroom__V1__Job job = job_of(id, "a lake", 1);
    assert_int_equal(engine_admit(fixture->engine, &job, 7, &(struct engine_inputs){&input, 1}),
                     BAD_INPUT);
    struct entry *entry = book_find(&fixture->book, id);
    assert_int_equal(entry->failed, 1);
    assert_int_equal(entry->kind, DARKROOM__V1__FAIL_KIND__FAIL_PERMANENT);
    assert_string_equal(entry->field, fields[kind]);
    assert_false(engine_busy(fixture->engine));
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      TEST(what_cannot_be_used_is_refused_by_its_field),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
