/* test_arrivals.c - models that come when a job asks and go when others need their room, while
 * turns go on. */
#include "tests/unit/engine/fake_engine.h"
#include "worker/engine/arrivals.h"
#include "worker/engine/state.h"

#define MIB ((size_t)1024 * 1024)

static const struct engine_model mixed[] = {
    {.id = "fake", .source.folder = "fake"},
    {.id = "other", .source.folder = "other", .on_demand = true},
    {.id = "third", .source.folder = "third", .on_demand = true},
    {.id = "wrong", .source.folder = "late-wrong", .on_demand = true},
};

/* Two of 6 MiB fit into 16 beside a job, three do not. */
static int open_mixed(void **state) {
  static struct fixture fixture;
  fixture = (struct fixture){0};
  fake = (struct fake){.predict_bytes_of_row = 64, .layers = 40, .weight_bytes = 6 * MIB};
  clock_hold(1000, 1000);
  fake.layer_ms = 60;
  struct device_settings settings = {0};
  assert_int_equal(device_open("ref", &settings, &fixture.device), OK);
  struct engine_settings engine = standard(&fixture);
  engine.models = mixed;
  engine.model_count = sizeof mixed / sizeof mixed[0];
  open_engine(&fixture, &engine);
  *state = &fixture;
  return 0;
}

static int close_mixed(void **state) {
  clock_let_go();
  return teardown(state);
}

static Darkroom__V1__Job of(const char *model, const char *id, uint32_t steps) {
  Darkroom__V1__Job job = job_of(id, "a house", 1);
  job.model = (char *)model;
  job.steps = steps;
  return job;
}

/* As the process does (engine_main.c): asked for, and admitted once it is expected. */
static bool try_admit(struct fixture *fixture, const Darkroom__V1__Job *job) {
  const struct engine_wish wish = {job->id, 7, job->model, NULL, 1};
  if (!engine_expects(fixture->engine, &wish)) {
    return false;
  }
  enum status status = engine_admit(fixture->engine, job, 7, NULL);
  assert_true(status == OK || status == EXHAUSTED || status == BAD_INPUT);
  return status != EXHAUSTED;
}

static struct entry *bring(struct fixture *fixture, const Darkroom__V1__Job *job) {
  for (int i = 0; i < 10000 && !try_admit(fixture, job); i++) {
    assert_int_equal(engine_turn(fixture->engine), OK);
  }
  return book_find(&fixture->book, job->id);
}

static const struct resident *row(const struct fixture *fixture, const char *id) {
  return residence_find(&fixture->engine->residence, id);
}
static bool is_home(const struct fixture *fixture, const char *id) {
  return row(fixture, id)->presence == AT_HOME;
}

static void none_is_loaded_before_it_is_asked_for(void **state) {
  struct fixture *fixture = *state;
  Darkroom__V1__ModelInfo info;
  engine_model_info(fixture->engine, 1, &info);
  assert_string_equal(info.id, "other");
  assert_int_equal(info.default_side, 64);
  assert_true(info.max_side >= 64);
  assert_int_equal(fake.loads, 0);
  assert_true(is_home(fixture, "fake") && !is_home(fixture, "other"));
  assert_false(engine_busy(fixture->engine));
}

static void turns_go_on_while_one_comes(void **state) {
  struct fixture *fixture = *state;
  Darkroom__V1__Job here = of("fake", "here", 500), there = of("other", "there", 3);
  admit(fixture, &here);
  assert_int_equal(engine_admit(fixture->engine, &there, 7, NULL), EXHAUSTED);
  int before = fake.calls;
  struct entry *entry = bring(fixture, &there);
  /* a slice has two layers of 60 ms, and a step lies between two slices */
  assert_true(fake.calls - before >= fake.layers / 2 - 2);
  assert_int_equal(fake.loads, 1);
  run_all(fixture);
  assert_int_equal(entry->finished, 1);
  assert_int_equal(book_find(&fixture->book, "here")->finished, 1);
  assert_true(is_home(fixture, "other"));
}

/* Files may be slow to come, and the parent must not take that for a hung engine. */
static void the_parent_is_told_that_one_comes(void **state) {
  struct fixture *fixture = *state;
  struct pulse pulse = {0};
  fixture->engine->settings.pulse = &pulse;
  Darkroom__V1__Job job = of("other", "job", 3);
  assert_false(try_admit(fixture, &job));
  assert_int_equal(pulse.expected_us, 0);
  run_turns(fixture, 2);
  assert_int_equal(row(fixture, "other")->presence, COMING);
  assert_true(pulse.expected_us >= 100000000);
  bring(fixture, &job);
  run_all(fixture);
  assert_true(pulse.expected_us < 1000000);
}

static void what_is_wrong_with_a_job_is_said_before_a_model_comes(void **state) {
  struct fixture *fixture = *state;
  Darkroom__V1__Job job = of("other", "odd", 3);
  job.width = 65;
  assert_int_equal(engine_admit(fixture->engine, &job, 7, NULL), BAD_INPUT);
  assert_int_equal(fake.loads, 0);
  assert_int_equal(book_find(&fixture->book, "odd")->failed, 1);
}

static void the_longest_unused_goes_and_no_other(void **state) {
  struct fixture *fixture = *state;
  engine_close(&fixture->engine);
  static struct engine_model four[] = {
      {.id = "fake", .source.folder = "fake"},
      {.id = "other", .source.folder = "other", .on_demand = true},
      {.id = "third", .source.folder = "third", .on_demand = true},
      {.id = "fourth", .source.folder = "fourth", .on_demand = true}};
  struct engine_settings settings = standard(fixture);
  settings.models = four;
  settings.model_count = 4;
  open_engine(fixture, &settings);
  Darkroom__V1__Job a = of("other", "a", 2), b = of("third", "b", 2), again = of("other", "a2", 2),
                    c = of("fourth", "c", 2);
  bring(fixture, &a);
  run_all(fixture);
  bring(fixture, &b);
  run_all(fixture);
  bring(fixture, &again);
  run_all(fixture);
  assert_int_equal(fake.loads, 2); /* both were at home */
  bring(fixture, &c);
  run_all(fixture);
  assert_true(is_home(fixture, "other") && is_home(fixture, "fourth") &&
              !is_home(fixture, "third"));
  assert_int_equal(book_find(&fixture->book, "c")->finished, 1);
  assert_true(fixture->engine->budget.used <= fixture->engine->budget.max);
}

/* One with a job stays, whoever wants its room. */
static void one_at_work_stays(void **state) {
  struct fixture *fixture = *state;
  engine_close(&fixture->engine);
  fake.weight_bytes = 10 * MIB;
  struct engine_settings settings = standard(fixture);
  settings.models = mixed;
  settings.model_count = 4;
  open_engine(fixture, &settings);
  Darkroom__V1__Job works = of("other", "works", 300), waits = of("third", "waits", 2);
  struct entry *first = bring(fixture, &works);
  for (int i = 0; i < 100; i++) {
    assert_false(try_admit(fixture, &waits));
    run_turns(fixture, 1);
    assert_true(is_home(fixture, "other"));
  }
  struct entry *second = bring(fixture, &waits);
  assert_int_equal(first->finished, 1); /* before the other could begin */
  run_all(fixture);
  assert_int_equal(second->finished, 1);
  assert_false(is_home(fixture, "other"));
}

/* Two that do not fit together, both always asked for: each draws many pictures before it goes, and
 * neither waits for ever. */
static void two_too_large_take_turns_and_not_every_step(void **state) {
  struct fixture *fixture = *state;
  static char ids[2][24][24]; /* more than slots: one is used again when it has ended */
  engine_close(&fixture->engine);
  fake.weight_bytes = 10 * MIB;
  fake.row_ms = 20;
  fake.layers = 10;
  struct engine_settings settings = standard(fixture);
  settings.models = mixed;
  settings.model_count = 4;
  open_engine(fixture, &settings);
  static const char *const names[] = {"other", "third"};
  int admitted[2] = {0, 0};
  int64_t since[2] = {clock_ms(), clock_ms()};
  for (int turn = 0; turn < 12000; turn++) {
    for (int m = 0; m < 2; m++) {
      char *id = ids[m][admitted[m] % 24];
      snprintf(id, 16, "%s-%d", names[m], admitted[m] % 24);
      Darkroom__V1__Job job = of(names[m], id, 20);
      const struct engine_wish wish = {id, 7, names[m], NULL, since[m]};
      if (engine_expects(fixture->engine, &wish) &&
          engine_admit(fixture->engine, &job, 7, NULL) == OK) {
        since[m] = clock_ms();
        admitted[m]++;
      }
    }
    run_turns(fixture, 1);
  }
  print_message("%d and %d jobs, %d loads\n", admitted[0], admitted[1], fake.loads);
  assert_true(admitted[0] >= 20 && admitted[1] >= 20);
  assert_true(fake.loads >= 4);                                /* they took turns, */
  assert_true(fake.loads <= (admitted[0] + admitted[1]) / 12); /* each of more than its slots */
  engine_ask_anew(fixture->engine);
}

static void what_nobody_waits_for_is_given_up(void **state) {
  struct fixture *fixture = *state;
  size_t before = fixture->engine->budget.used;
  Darkroom__V1__Job job = of("other", "gone", 3);
  assert_false(try_admit(fixture, &job));
  run_turns(fixture, 3);
  assert_int_equal(row(fixture, "other")->presence, COMING);
  engine_ask_anew(fixture->engine); /* it was cancelled */
  run_all(fixture);
  assert_int_equal(row(fixture, "other")->presence, AWAY);
  assert_int_equal(fixture->engine->budget.used, before);
  struct entry *entry = bring(fixture, &job); /* another day */
  run_all(fixture);
  assert_int_equal(entry->finished, 1);
}

static void one_that_fails_fails_its_jobs_by_name_and_nothing_else(void **state) {
  struct fixture *fixture = *state;
  size_t used = fixture->engine->budget.used;
  Darkroom__V1__Job job = of("wrong", "job", 3), again = of("wrong", "again", 3),
                    later = of("wrong", "later", 3), sound = of("other", "sound", 3);
  struct entry *entry = bring(fixture, &job);
  assert_int_equal(entry->failed, 1);
  assert_int_equal(entry->kind, DARKROOM__V1__FAIL_KIND__FAIL_RETRY);
  assert_string_equal(entry->field, "model");
  assert_int_equal(fixture->engine->budget.used, used);
  assert_true(try_admit(fixture, &again)); /* at once, with the same words, */
  assert_int_equal(book_find(&fixture->book, "again")->failed, 1);
  assert_int_equal(fake.loads, 1); /* and without another look at its files */
  clock_move(TROUBLE_MS);
  assert_int_equal(bring(fixture, &later)->failed, 1);
  assert_int_equal(fake.loads, 2);
  bring(fixture, &sound);
  run_all(fixture);
  assert_int_equal(book_find(&fixture->book, "sound")->finished, 1);
}

/* What an outline says of a model is about; what was at home is known. */
static void the_rate_of_a_model_is_remembered_while_it_is_away(void **state) {
  struct fixture *fixture = *state;
  fake.row_ms = 10;
  Darkroom__V1__Job first = of("other", "first", 20);
  bring(fixture, &first);
  run_all(fixture);
  const struct resident *other = row(fixture, "other");
  const struct pace_work work = {.model = other, .kind = PACE_STEP, .cells = 64, .rows = 2};
  uint64_t before = pace_expect(&fixture->engine->pace, &work);
  assert_true(before > 0);
  while (arrivals_forget_oldest(fixture->engine)) {
  }
  assert_int_equal(other->presence, AWAY);
  assert_int_equal(pace_expect(&fixture->engine->pace, &work), before);
  Darkroom__V1__Job second = of("other", "second", 20);
  bring(fixture, &second);
  run_all(fixture);
  assert_ptr_equal(row(fixture, "other"), other);
  assert_int_equal(book_find(&fixture->book, "second")->hash[0],
                   book_find(&fixture->book, "first")->hash[0]);
}

/* ---- tried before it is offered ---- */

static struct resident *comes(struct fixture *fixture, const Darkroom__V1__Job *job) {
  struct resident *resident = (struct resident *)row(fixture, job->model);
  for (int i = 0; i < 1000 && resident->presence != TRIED; i++) {
    assert_false(try_admit(fixture, job));
    assert_int_equal(engine_turn(fixture->engine), OK);
  }
  assert_int_equal(resident->presence, TRIED);
  return resident;
}

/* As pinned ones are at the start; meanwhile the steps of others go on, and nobody hears of it. */
static void one_that_comes_is_tried_before_it_is_offered(void **state) {
  struct fixture *fixture = *state;
  Darkroom__V1__Job here = of("fake", "here", 500), there = of("other", "there", 3);
  const struct resident *other = comes(fixture, &there);
  struct entry *busy = admit(fixture, &here); /* now: who knows how long files are read */
  int decoded = fake.decoded;
  uint32_t before = busy->step;
  while (other->presence == TRIED) {
    assert_false(try_admit(fixture, &there));
    assert_int_equal(engine_turn(fixture->engine), OK);
  }
  assert_int_equal(other->presence, AT_HOME);
  assert_int_equal(fake.decoded - decoded, 1 + 2); /* alone, and beside a stranger */
  assert_true(busy->step > before);
  for (int i = 0; i < BOOK_JOBS_MAX; i++) {
    assert_string_not_equal(fixture->book.entries[i].id, SELF_TEST_ID);
  }
  struct entry *entry = bring(fixture, &there);
  run_all(fixture);
  assert_int_equal(entry->finished, 1);
}

static void one_that_draws_nothing_goes_again(void **state) {
  struct fixture *fixture = *state;
  size_t used = fixture->engine->budget.used;
  Darkroom__V1__Job job = of("other", "job", 3);
  comes(fixture, &job);
  fake.overflows = true;
  fake.exact_status = EXHAUSTED;
  struct entry *entry = bring(fixture, &job);
  assert_int_equal(entry->failed, 1);
  assert_int_equal(entry->kind, DARKROOM__V1__FAIL_KIND__FAIL_RETRY);
  assert_string_equal(entry->field, "model");
  assert_int_equal(row(fixture, "other")->presence, AWAY);
  assert_true(fixture->engine->budget.used <= used + fixture->engine->scratch[0].bytes);
}

static void one_that_never_draws_the_same_ends_the_engine(void **state) {
  struct fixture *fixture = *state;
  Darkroom__V1__Job job = of("other", "job", 3);
  comes(fixture, &job);
  fake.restless = true;
  enum status status = OK;
  for (int i = 0; i < 1000 && status == OK; i++) {
    status = engine_turn(fixture->engine);
  }
  assert_int_equal(status, BROKEN);
}

/* All slots are taken, and more jobs wait for them than there are: it comes to its turn. */
static void a_trial_gets_its_slot(void **state) {
  struct fixture *fixture = *state;
  static char ids[8][24];
  Darkroom__V1__Job waits = of("other", "waits", 2);
  int admitted = 0;
  for (int turn = 0; turn < 20000 && !is_home(fixture, "other"); turn++) {
    (void)try_admit(fixture, &waits);
    for (int k = 0; k < 8; k++) {
      snprintf(ids[k], sizeof ids[k], "fill-%d", k);
      Darkroom__V1__Job job = of("fake", ids[k], 30);
      admitted += engine_admit(fixture->engine, &job, (uint64_t)turn, NULL) == OK;
    }
    assert_int_equal(engine_turn(fixture->engine), OK);
  }
  assert_true(is_home(fixture, "other"));
  assert_true(admitted >= 8);
}

static void an_engine_can_be_closed_while_one_comes(void **state) {
  struct fixture *fixture = *state;
  Darkroom__V1__Job job = of("other", "late", 3);
  assert_false(try_admit(fixture, &job));
  run_turns(fixture, 2);
  assert_int_equal(row(fixture, "other")->presence, COMING);
  engine_close(&fixture->engine);
  assert_int_equal(device_memory_used(fixture->device), 0);
}

int main(void) {
#define WITH(f) cmocka_unit_test_setup_teardown(f, open_mixed, close_mixed)
  const struct CMUnitTest tests[] = {
      WITH(none_is_loaded_before_it_is_asked_for),
      WITH(turns_go_on_while_one_comes),
      WITH(the_parent_is_told_that_one_comes),
      WITH(what_is_wrong_with_a_job_is_said_before_a_model_comes),
      WITH(the_longest_unused_goes_and_no_other),
      WITH(one_at_work_stays),
      WITH(two_too_large_take_turns_and_not_every_step),
      WITH(what_nobody_waits_for_is_given_up),
      WITH(one_that_fails_fails_its_jobs_by_name_and_nothing_else),
      WITH(the_rate_of_a_model_is_remembered_while_it_is_away),
      WITH(one_that_comes_is_tried_before_it_is_offered),
      WITH(one_that_draws_nothing_goes_again),
      WITH(one_that_never_draws_the_same_ends_the_engine),
      WITH(a_trial_gets_its_slot),
      WITH(an_engine_can_be_closed_while_one_comes),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
