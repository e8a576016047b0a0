/* test_bucket.c - a bucket is a value: what differs in any of its fields shares no call, what
 * differs in nothing else does. */
#include "tests/unit/engine/fake_engine.h"

#include "worker/engine/bucket.h"

static const struct resident residents[2] = {{.id = "one"}, {.id = "other"}};

static struct stage stage_of(void) {
  return (struct stage){.resident = &residents[0], .latent_width = 8, .latent_height = 16};
}

static struct bucket bucket_of(const struct stage *stage, int row) {
  struct bucket bucket;
  memset(&bucket, 0xa5, sizeof bucket); /* whatever lay there does not count */
  bucket_fill(stage, row, &bucket);
  return bucket;
}

static void each_field_keeps_strangers_apart(void **state) {
  (void)state;
  struct stage stage = stage_of(),
               others[] = {stage_of(), stage_of(), stage_of(), stage_of(), stage_of()};
  others[0].resident = &residents[1];
  others[1].latent_width = 16;
  others[2].latent_height = 8;
  others[3].planes = 5;
  others[4].merged_number = 1;
  struct bucket own = bucket_of(&stage, 0), again = bucket_of(&stage, 0);
  assert_true(bucket_same(&own, &again));
  assert_true(bucket_number(&own) == bucket_number(&again));
  for (size_t i = 0; i < sizeof others / sizeof others[0]; i++) {
    struct bucket other = bucket_of(&others[i], 0);
    assert_false(bucket_same(&own, &other));
    assert_true(bucket_number(&own) != bucket_number(&other));
  }
}

static void what_a_row_brings_along_is_no_field(void **state) {
  (void)state;
  struct stage stage = stage_of(), other = stage_of();
  other.guidance = 7.5f;
  other.positive.prompt = "another";
  other.rows_max = 2;
  struct bucket own = bucket_of(&stage, 0), its = bucket_of(&other, 3);
  assert_true(bucket_same(&own, &its));
}

/* Nets count while they are on. */
static void nets_that_are_on_are_a_field(void **state) {
  (void)state;
  static const struct net nets[2] = {{.id = "lines"}, {.id = "depth"}};
  struct stage none = stage_of(), one = stage_of(), two = stage_of();
  one.controls = (struct stage_controls){1, {{.net = &nets[0], .first = 1, .last = 3}}};
  two.controls = (struct stage_controls){1, {{.net = &nets[1], .first = 1, .last = 3}}};
  for (int row = 0; row < 4; row++) {
    struct bucket a = bucket_of(&none, row), b = bucket_of(&one, row), c = bucket_of(&two, row);
    bool on = row == 1 || row == 2;
    assert_int_equal(bucket_same(&a, &b), !on);
    assert_int_equal(bucket_same(&b, &c), !on);
  }
  char text[BUCKET_TEXT_BYTES_MAX];
  struct bucket bucket = bucket_of(&one, 1);
  assert_string_equal(bucket_print(&bucket, text), "one 8x16 planes=0 merged=0 control=lines");
}

static void it_is_printed_whole(void **state) {
  (void)state;
  struct stage stage = stage_of();
  struct bucket bucket = bucket_of(&stage, 0);
  char text[BUCKET_TEXT_BYTES_MAX];
  assert_string_equal(bucket_print(&bucket, text), "one 8x16 planes=0 merged=0");
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(each_field_keeps_strangers_apart),
      cmocka_unit_test(what_a_row_brings_along_is_no_field),
      cmocka_unit_test(nets_that_are_on_are_a_field),
      cmocka_unit_test(it_is_printed_whole),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
