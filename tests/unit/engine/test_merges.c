/* test_merges.c - weights for adapters are made while turns go on: nobody waits for them but who
 * wants them, and what nobody wants any more is gone. */
#include "tests/unit/engine/fake_engine.h"
#include "tests/unit/engine/varied.h"
#include "worker/engine/adapters_cache.h"
#include "worker/engine/state.h"

#define MIB ((size_t)1024 * 1024)
enum { LAYERS = 40 };

static int open_slow(void **state) {
  setup(state);
  struct fixture *fixture = *state;
  clock_hold(1000, 1000);
  fake.merge_layers = LAYERS;
  fake.merge_ms = 60; /* a slice has two */
  fake.row_ms = 1;
  assert_non_null(fixture->engine);
  return 0;
}
static int close_slow(void **state) {
  clock_let_go();
  return teardown(state);
}

static struct varied wants(const char *id, const char *file) {
  struct varied one = {0};
  snprintf(one.id, sizeof one.id, "%s", id);
  one.job = job_of(id, "a lake", 5);
  if (file != NULL) {
    varied_adapt(&one, file, 0.5);
  }
  return one;
}

static bool is_expected(struct fixture *fixture, const struct varied *one) {
  const struct engine_wish wish = {one->id, 7, one->job.model, NULL, 1};
  return engine_expects(fixture->engine, &wish);
}

static bool try_admit(struct fixture *fixture, struct varied *one) {
  enum status status = EXHAUSTED;
  for (size_t i = 0; i < one->job.n_adapter; i++) {
    one->adapter[i].blob = &one->blob;
  }
  bool over = varied_try(fixture->engine, one, &status);
  assert_true(status == OK || status == EXHAUSTED || status == BAD_INPUT);
  return over;
}

static struct entry *bring(struct fixture *fixture, struct varied *one) {
  for (int i = 0; i < 1000 && !try_admit(fixture, one); i++) {
    assert_int_equal(engine_turn(fixture->engine), OK);
  }
  return book_find(&fixture->book, one->id);
}

static struct merges *merges(struct fixture *fixture) {
  return adapters_merges(fixture->engine->adapters);
}

static void turns_go_on_while_weights_are_made(void **state) {
  struct fixture *fixture = *state;
  struct varied here = wants("here", NULL), other = wants("other", NULL),
                own = wants("own", "m file");
  here.job.steps = 500;
  assert_true(try_admit(fixture, &here));
  assert_false(try_admit(fixture, &own));
  int before = fake.calls;
  run_turns(fixture, 5);
  assert_true(try_admit(fixture, &other)); /* who needs none overtakes */
  struct entry *entry = bring(fixture, &own);
  assert_true(fake.calls - before >= LAYERS / 2 - 2); /* a step between two slices */
  assert_int_equal(fake.merges, 1);
  run_all(fixture);
  assert_int_equal(entry->finished, 1);
  assert_int_equal(book_find(&fixture->book, "here")->finished, 1);
  assert_int_equal(book_find(&fixture->book, "other")->finished, 1);
}

/* What is made is shared: also with who comes while it is. */
static void it_is_made_once_for_all_who_want_it(void **state) {
  struct fixture *fixture = *state;
  struct varied one = wants("one", "m file"), two = wants("two", "m file"),
                late = wants("late", "m file");
  assert_false(try_admit(fixture, &one));
  run_turns(fixture, 2);
  assert_false(try_admit(fixture, &two));
  bring(fixture, &one);
  assert_true(try_admit(fixture, &two));
  run_all(fixture);
  assert_true(try_admit(fixture, &late));
  run_all(fixture);
  assert_int_equal(fake.merges, 1);
  assert_int_equal(book_find(&fixture->book, "two")->hash[0],
                   book_find(&fixture->book, "one")->hash[0]);
}

static void two_are_made_one_after_the_other(void **state) {
  struct fixture *fixture = *state;
  struct varied one = wants("one", "m one"), two = wants("two", "m two");
  assert_false(try_admit(fixture, &one));
  assert_false(try_admit(fixture, &two));
  run_turns(fixture, 2);
  assert_int_equal(fake.merges, 1);
  struct entry *first = bring(fixture, &one), *second = bring(fixture, &two);
  run_all(fixture);
  assert_int_equal(fake.merges, 2);
  assert_int_equal(first->finished + second->finished, 2);
}

static void what_nobody_wants_any_more_is_given_up_and_freed(void **state) {
  struct fixture *fixture = *state;
  fake.merge_bytes = 5 * MIB;
  fake.merge_scratch = 3 * MIB;
  struct varied gone = wants("gone", "m file"), stays = wants("stays", "m other");
  size_t before = fixture->engine->budget.used;
  assert_false(try_admit(fixture, &gone));
  assert_false(try_admit(fixture, &stays));
  run_turns(fixture, 3);
  assert_true(merges_under_way(merges(fixture)));
  assert_true(fixture->engine->budget.used >= before + 8 * MIB); /* before any of it was made */
  engine_ask_anew(fixture->engine);                              /* one was cancelled */
  assert_false(is_expected(fixture, &stays));
  run_turns(fixture, 1);
  assert_int_equal(fake.adaptations, 0);
  assert_true(fixture->engine->budget.used < before + 5 * MIB);
  struct entry *entry = bring(fixture, &stays); /* its turn */
  run_all(fixture);
  assert_int_equal(entry->finished, 1);
  assert_int_equal(fake.merges, 2);
  engine_ask_anew(fixture->engine);
  bring(fixture, &gone); /* another day */
  run_all(fixture);
  assert_int_equal(fake.merges, 3);
}

/* Who comes for it while it is being given up has it begun anew. */
static void one_that_was_given_up_is_begun_anew(void **state) {
  struct fixture *fixture = *state;
  struct varied gone = wants("gone", "m file"), late = wants("late", "m file");
  assert_false(try_admit(fixture, &gone));
  run_turns(fixture, 3);
  engine_ask_anew(fixture->engine);
  merges(fixture)->given_up = true; /* as a turn does, and its thread has not seen it */
  load_give_up(merges(fixture)->load);
  assert_false(try_admit(fixture, &late));
  struct entry *entry = bring(fixture, &late);
  run_all(fixture);
  assert_int_equal(entry->finished, 1);
  assert_int_equal(entry->failed, 0);
  assert_int_equal(fake.merges, 2);
}

static void one_that_fails_fails_its_jobs_by_name_and_nothing_else(void **state) {
  struct fixture *fixture = *state;
  fake.merge_status = BAD_INPUT;
  struct varied here = wants("here", NULL), one = wants("one", "m file"),
                two = wants("two", "m file"), again = wants("again", "m file");
  here.job.steps = 200;
  assert_true(try_admit(fixture, &here));
  assert_false(try_admit(fixture, &one));
  assert_false(try_admit(fixture, &two));
  struct entry *entry = bring(fixture, &one);
  assert_int_equal(entry->failed, 1);
  assert_int_equal(entry->kind, DARKROOM__V1__FAIL_KIND__FAIL_PERMANENT);
  assert_string_equal(entry->field, "adapter");
  assert_int_equal(bring(fixture, &two)->failed, 1); /* with the same words */
  assert_int_equal(fake.merges, 1);
  assert_false(merges_any(merges(fixture)));
  fake.merge_status = OK;
  assert_int_equal(bring(fixture, &again)->failed, 0); /* what failed is not kept */
  run_all(fixture);
  assert_int_equal(book_find(&fixture->book, "here")->finished, 1);
}

static void one_without_memory_is_tried_elsewhere(void **state) {
  struct fixture *fixture = *state;
  fake.merge_status = EXHAUSTED;
  struct varied one = wants("one", "m file"), large = wants("large", "m large");
  struct entry *entry = bring(fixture, &one);
  assert_int_equal(entry->failed, 1);
  assert_int_equal(entry->kind, DARKROOM__V1__FAIL_KIND__FAIL_RETRY);
  fake.merge_status = OK;
  fake.merge_bytes = 15 * MIB; /* of 16 */
  fake.merge_scratch = 2 * MIB;
  entry = bring(fixture, &large);
  assert_int_equal(entry->failed, 1);
  assert_int_equal(entry->kind, DARKROOM__V1__FAIL_KIND__FAIL_RETRY);
  assert_int_equal(fake.merges, 1); /* the sum was done before */
}

/* The weights are there, and no room for the job beside them: it fails, and they are not made again
 * and again. */
static void weights_without_room_for_their_job_are_made_once(void **state) {
  struct fixture *fixture = *state;
  fake.merge_bytes = 16 * MIB - 150 * 1024;
  struct varied one = wants("one", "m file");
  one.job.width = one.job.height = 256;
  one.job.has_width = one.job.has_height = 1;
  struct entry *entry = bring(fixture, &one);
  assert_int_equal(entry->failed, 1);
  assert_int_equal(entry->kind, DARKROOM__V1__FAIL_KIND__FAIL_RETRY);
  assert_true(fake.merges <= 1);
}

static void a_hundred_of_them_all_come_to_their_turn(void **state) {
  struct fixture *fixture = *state;
  static char files[100][16], ids[100][16];
  static struct varied all[100];
  fake.merge_layers = 2;
  fake.merge_bytes = MIB;
  for (int k = 0; k < 100; k++) {
    snprintf(files[k], sizeof files[k], "m %d", k);
    snprintf(ids[k], sizeof ids[k], "job-%d", k % 8);
    all[k] = wants(ids[k], files[k]);
    all[k].job.steps = 2;
  }
  for (int k = 0; k < 100; k += 4) {
    for (int i = k; i < k + 4; i++) {
      (void)try_admit(fixture, &all[i]);
    }
    for (int i = k; i < k + 4; i++) {
      struct entry *entry = bring(fixture, &all[i]);
      assert_int_equal(entry->failed, 0);
    }
    run_all(fixture);
    assert_true(fixture->engine->budget.used <= fixture->engine->budget.max);
  }
  assert_true(fake.adaptations <= 16);
}

static void an_engine_can_be_closed_while_one_is_made(void **state) {
  struct fixture *fixture = *state;
  struct varied one = wants("one", "m file");
  assert_false(try_admit(fixture, &one));
  run_turns(fixture, 2);
  assert_true(merges_under_way(merges(fixture)));
  engine_close(&fixture->engine);
  assert_int_equal(fake.adaptations, 0);
  assert_int_equal(fake.adapters, 0);
}

int main(void) {
#define WITH(f) cmocka_unit_test_setup_teardown(f, open_slow, close_slow)
  const struct CMUnitTest tests[] = {
      WITH(turns_go_on_while_weights_are_made),
      WITH(it_is_made_once_for_all_who_want_it),
      WITH(two_are_made_one_after_the_other),
      WITH(what_nobody_wants_any_more_is_given_up_and_freed),
      WITH(one_that_was_given_up_is_begun_anew),
      WITH(one_that_fails_fails_its_jobs_by_name_and_nothing_else),
      WITH(one_without_memory_is_tried_elsewhere),
      WITH(weights_without_room_for_their_job_are_made_once),
      WITH(a_hundred_of_them_all_come_to_their_turn),
      WITH(an_engine_can_be_closed_while_one_is_made),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
