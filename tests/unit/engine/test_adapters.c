/* test_adapters.c - adapters and words of jobs: opened once, shared, told apart, given back. */
#include "tests/unit/engine/fake_engine.h"
#include "tests/unit/engine/varied.h"
#include "worker/engine/state.h"

static struct varied plain(const char *id) {
  struct varied one = {0};
  snprintf(one.id, sizeof one.id, "%s", id);
  one.job = job_of(id, "a lake", 5);
  return one;
}

static struct entry *begin(struct fixture *fixture, struct varied *one) {
  for (size_t i = 0; i < one->job.n_adapter; i++) {
    one->adapter[i].blob = &one->blob;
  }
  assert_int_equal(varied_admit(fixture->engine, one), OK);
  return book_find(&fixture->book, one->id);
}

static uint64_t draw(struct fixture *fixture, struct varied *one) {
  struct entry *entry = begin(fixture, one);
  run_all(fixture);
  assert_int_equal(entry->finished, 1);
  return entry->hash[0];
}

static void an_adapter_changes_the_picture_by_its_weight(void **state) {
  struct fixture *fixture = *state;
  struct varied none = plain("none"), half = plain("half"), full = plain("full"),
                again = plain("again"), merged = plain("merged");
  varied_adapt(&half, "a file", 0.5);
  varied_adapt(&full, "a file", 1.0);
  varied_adapt(&again, "a file", 0.5);
  varied_adapt(&merged, "m file", 0.5);
  uint64_t hash = draw(fixture, &half);
  assert_true(hash != draw(fixture, &none));
  assert_true(hash != draw(fixture, &full));
  assert_true(hash != draw(fixture, &merged));
  assert_true(hash == draw(fixture, &again));
  assert_int_equal(fake.adapters_opened, 2);    /* each file once, */
  assert_int_equal(fake.adapters_hashed, 2);    /* hashed by us or before, and not again, */
  assert_int_equal(fake.adaptations_opened, 3); /* each combination once */
}

/* Those that go beside the weights share calls with jobs without; those with weights of their own
 * with none but their like. */
static void who_shares_a_call(void **state) {
  struct fixture *fixture = *state;
  struct varied none = plain("none"), side = plain("side"), own = plain("own"),
                like = plain("like"), other = plain("other");
  varied_adapt(&side, "a file", 0.5);
  varied_adapt(&own, "m file", 0.5);
  varied_adapt(&like, "m file", 0.5);
  varied_adapt(&other, "m file", 0.75);
  struct varied *const all[] = {&none, &side, &own, &like, &other};
  for (int i = 0; i < 5; i++) {
    begin(fixture, all[i]);
  }
  run_all(fixture);
  int twos = 0, ones = 0; /* pictures of guided calls, of the last steps: two rows each */
  for (int i = 0; i < fake.calls; i++) {
    twos += fake.rows[i] == 4;
    ones += fake.rows[i] == 2;
    assert_true(fake.rows[i] <= 4);
  }
  assert_true(twos >= 4);
  assert_true(ones >= 4);
}

static void what_is_left_out_is_told(void **state) {
  struct fixture *fixture = *state;
  struct varied one = plain("skips"), two = plain("skips-again");
  varied_adapt(&one, "as file", 0.5);
  varied_adapt(&two, "as file", 0.5);
  draw(fixture, &one);
  draw(fixture, &two); /* it is not read again */
  struct entry *entry = book_find(&fixture->book, "skips");
  assert_int_equal(entry->warnings, 1);
  assert_non_null(strstr(entry->warning, "a.b.c"));
  assert_int_equal(book_find(&fixture->book, "skips-again")->warnings, 1);
}

static void refused(struct fixture *fixture, struct varied *one, const char *field) {
  one->job.id = one->id;
  one->inputs.input = one->input;
  one->job.adapter = one->adapters;
  one->adapters[0] = &one->adapter[0];
  assert_int_equal(engine_admit(fixture->engine, &one->job, 7, &one->inputs), BAD_INPUT);
  struct entry *entry = book_find(&fixture->book, one->id);
  assert_int_equal(entry->failed, 1);
  assert_int_equal(entry->kind, DARKROOM__V1__FAIL_KIND__FAIL_PERMANENT);
  assert_string_equal(entry->field, field);
  assert_false(engine_busy(fixture->engine));
}

static void what_cannot_be_had_is_refused(void **state) {
  struct fixture *fixture = *state;
  struct varied useless = plain("useless"), unknown = plain("unknown"), away = plain("away");
  varied_adapt(&useless, "x", 0.5);
  varied_adapt(&unknown, "a file", 0.5);
  unknown.adapter[0].name = (char *)"no such";
  unknown.adapter[0].blob = NULL;
  unknown.inputs.count = 0;
  varied_adapt(&away, "a file", 0.5);
  away.adapter[0].blob = &away.blob;
  away.inputs.count = 0;
  refused(fixture, &useless, "adapter");
  refused(fixture, &unknown, "adapter");
  refused(fixture, &away, "adapter");
}

/* Under a budget with room for a few, the longest unused go, and none that is in use. */
static void the_longest_unused_goes(void **state) {
  struct fixture *fixture = *state;
  struct engine_settings settings = standard(fixture);
  settings.memory_max = 300 * 1024;
  open_engine(fixture, &settings);
  static char files[200][32];
  struct varied kept = plain("kept");
  varied_adapt(&kept, "kept file", 0.5);
  kept.job.steps = 1000;
  begin(fixture, &kept);
  for (int k = 0; k < 200; k++) {
    char id[32];
    snprintf(id, sizeof id, "job-%d", k % 50);
    snprintf(files[k], sizeof files[k], "file %d", k);
    struct varied one = plain(id);
    one.job.steps = 1;
    varied_adapt(&one, files[k], 0.5);
    struct entry *entry = begin(fixture, &one);
    int finished = entry->finished;
    for (int turn = 0; turn < 1000 && entry->finished == finished; turn++) {
      run_turns(fixture, 1);
    }
    assert_int_equal(entry->finished, finished + 1);
    assert_true(fixture->engine->budget.used <= fixture->engine->budget.max);
  }
  assert_true(fake.adaptations < 200);
  assert_true(fake.adapters <= ADAPTERS_READ_MAX);
  engine_close(&fixture->engine);
  assert_int_equal(fake.adapters, 0);
  assert_int_equal(fake.adaptations, 0);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      TEST(an_adapter_changes_the_picture_by_its_weight),
      TEST(who_shares_a_call),
      TEST(what_is_left_out_is_told),
      TEST(what_cannot_be_had_is_refused),
      TEST(the_longest_unused_goes),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
