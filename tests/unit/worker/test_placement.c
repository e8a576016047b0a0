/* test_placement.c - which engine takes a job, and what may be granted: engines and jobs that are
 * only rows of a table.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>
#undef fail /* cmocka has a macro of this name */

#include "worker/claim.h"
#include "worker/placement.h"

static struct worker worker;
static struct options options;
static struct grant grant;

static int setup(void **state) {
  (void)state;
  options = (struct options){.spool_images = 8, .spool_mib = 64};
  worker = (struct worker){.options = &options, .generation = 1};
  return 0;
}

static struct child *engine(uint32_t slots) {
  static const struct worker_devices devices;
  size_t count = worker.children.count;
  if (count == 0) {
    children_open(&worker.children, &devices);
  }
  struct child *child = &worker.children.child[count];
  *child = (struct child){.state = CHILD_READY, .slots = slots};
  worker.children.count++;
  return child;
}

static void has(struct child *child, const char *model, uint32_t max_side) {
  struct child_model *row = &child->model[child->model_count++];
  *row = (struct child_model){.max_side = max_side};
  snprintf(row->id, sizeof row->id, "%s", model);
}

static struct held *job(size_t child, uint32_t images, enum held_state held_state) {
  for (size_t i = 0;; i++) {
    struct held *held = &worker.held.row[i];
    if (held->state == HELD_FREE) {
      static struct picture missing[HELD_MAX][8];
      *held = (struct held){
          .state = held_state, .child = child, .images = images, .picture = missing[i]};
      return held;
    }
  }
}

static uint32_t granted(const char *model) {
  placement_grant(&worker, &grant);
  for (size_t i = 0; i < grant.count; i++) {
    if (strcmp(grant.credit[i].model, model) == 0) {
      return grant.credit[i].jobs;
    }
  }
  return 0;
}

static void a_slot_is_granted_once_whatever_the_models(void **state) {
  (void)state;
  char model[16];
  struct child *child = engine(2);
  for (int i = 0; i < MODELS_MAX; i++) {
    snprintf(model, sizeof model, "m%d", i);
    has(child, model, 512);
  }
  assert_int_equal(granted("m0"), 2);
  assert_int_equal(granted("m63"), 2);
  assert_int_equal(grant.count, MODELS_MAX);
  assert_int_equal(grant.jobs, 2);
  job(0, 1, HELD_RUNNING);
  assert_int_equal(granted("m63"), 1);
  assert_int_equal(grant.jobs, 1);
}

/* For every way in which the grant may be used there is a slot for each job. */
static void engines_that_differ_are_never_granted_twice(void **state) {
  (void)state;
  struct child *first = engine(2), *second = engine(2);
  has(first, "x", 512);
  has(first, "y", 512);
  has(second, "z", 512);
  assert_int_equal(granted("x"), 2);
  assert_int_equal(granted("z"), 2);
  assert_int_equal(grant.jobs, 2); /* two of x and two of y would both be the first one's */
  job(1, 2, HELD_RUNNING);
  assert_int_equal(granted("z"), 0);
  assert_int_equal(granted("y"), 2);
  assert_int_equal(grant.jobs, 2); /* a model without slots takes nothing from the others */
}

static void engines_that_are_alike_add_up(void **state) {
  (void)state;
  for (int i = 0; i < 3; i++) {
    struct child *child = engine(4);
    has(child, "m", i == 1 ? 256 : 512);
  }
  assert_int_equal(granted("m"), 12);
  assert_int_equal(grant.jobs, 12);
  assert_int_equal(grant.credit[0].max_side, 256); /* any of them may get it */
}

static void nothing_is_granted_while_nothing_can_be_taken(void **state) {
  (void)state;
  has(engine(4), "m", 512);
  struct held *held = job(0, 1, HELD_STORING);
  assert_int_equal(granted("m"), 4);
  worker.draining = true;
  assert_int_equal(granted("m"), 0);
  assert_int_equal(grant.count, 1); /* named all the same: the broker shall know that it is none */
  worker.draining = false;
  worker.store.refused = true;
  assert_int_equal(granted("m"), 0);
  worker.store.refused = false;
  worker.generation = 0;
  assert_int_equal(granted("m"), 0);
  worker.generation = 1;
  struct picture waiting[8] = {0};
  held->images = 8;
  held->picture = waiting;
  for (int i = 0; i < 8; i++) {
    assert_int_equal(granted("m"), 4);
    waiting[i].state = i % 2 == 0 ? PICTURE_WAITING : PICTURE_STORING;
  }
  assert_int_equal(granted("m"), 0);
}

/* While the store is away what is still to be made counts, too, and no more jobs are granted than
 * the spool surely has room for: one, where the limit is small. */
static void a_store_that_is_away_is_rendered_for_up_to_the_spool(void **state) {
  (void)state;
  has(engine(16), "m", 512);
  options.spool_images = 3 * JOB_IMAGES_MAX;
  worker.store.proven = worker.store.away = worker.store.refused = true;
  assert_int_equal(granted("m"), 3);
  assert_int_equal(grant.jobs, 3);
  struct held *held = job(0, 2, HELD_RUNNING);
  struct picture pictures[2] = {0};
  held->picture = pictures;
  assert_int_equal(granted("m"), 2);
  options.spool_images = 3;
  assert_int_equal(granted("m"), 1);
  options.spool_images = 2; /* both are under way */
  assert_int_equal(granted("m"), 0);
  worker.store.away = false;
  assert_int_equal(granted("m"), 14);
  pictures[0].state = PICTURE_WAITING;
  pictures[0].bytes = 64 << 20;
  options.spool_images = 100;
  assert_int_equal(granted("m"), 0); /* the limit in bytes */
  pictures[0].bytes--;
  assert_int_equal(granted("m"), 14);
  worker.spool_watch.full = true; /* and its disk's own */
  assert_int_equal(granted("m"), 0);
  worker.spool_watch.full = false;
  worker.store.proven = false; /* it has refused ever since the start: these keys may be wrong */
  assert_int_equal(granted("m"), 0);
  worker.store.refused = false;
  assert_int_equal(granted("m"), 14);
}

static void the_next_job_is_fetched_shortly_before_a_slot_falls_free(void **state) {
  (void)state;
  struct child *child = engine(1);
  has(child, "m", 512);
  struct held *held = job(0, 1, HELD_RUNNING);
  held->steps = 20;
  held->step = 17;
  assert_int_equal(granted("m"), 0); /* no turn has been measured yet */
  child_note_turn(child, 100000);
  assert_int_equal(granted("m"), 0); /* 0.3 s */
  held->step = 18;
  assert_int_equal(granted("m"), 1); /* 0.2 s */
  job(0, 1, HELD_ADMITTED);
  assert_int_equal(granted("m"), 0); /* it has been */
}

static void a_job_goes_where_the_most_slots_are_free(void **state) {
  (void)state;
  size_t child = 99;
  has(engine(2), "m", 512);
  has(engine(3), "m", 512);
  has(engine(9), "other", 512);
  assert_true(placement_child_for(&worker, "m", NULL, &child));
  assert_int_equal(child, 1);
  job(1, 2, HELD_RUNNING)->received = 0;
  assert_true(placement_child_for(&worker, "m", NULL, &child));
  assert_int_equal(child, 0);
  assert_int_equal(placement_free_slots(&worker, 1), 1);
  worker.children.child[0].state = worker.children.child[1].state = CHILD_LEAVING;
  assert_false(placement_child_for(&worker, "m", NULL, &child));
}

static void a_job_goes_where_all_that_it_names_is(void **state) {
  (void)state;
  static struct models_table table;
  static const struct worker_device places[] = {{.name = "one", .open = "one"},
                                                {.name = "two", .open = "two"}};
  static Darkroom__V1__Adapter ink = DARKROOM__V1__ADAPTER__INIT;
  static char id[] = "ink";
  static char model[] = "m";
  static Darkroom__V1__Adapter *adapters[] = {&ink};
  static char finish[] = "finish";
  static Darkroom__V1__Refiner refiner = DARKROOM__V1__REFINER__INIT;
  size_t child = 99;
  table.row[0] = (struct models_row){.id = "ink", .kind = MODELS_LORA, .devices = "two"};
  table.count = 1;
  worker.table = &table;
  has(engine(9), "m", 512);
  has(engine(1), "m", 512);
  has(&worker.children.child[0], "finish", 512);
  worker.children.child[0].place = &places[0];
  worker.children.child[1].place = &places[1];
  ink.name = id;
  Darkroom__V1__Job named = DARKROOM__V1__JOB__INIT;
  named.model = model;
  named.n_adapter = 1;
  named.adapter = adapters;
  assert_true(placement_child_for(&worker, "m", &named, &child));
  assert_int_equal(child, 1);
  child = 99;
  assert_true(placement_empty_child_for(&worker, &named, &child));
  assert_int_equal(child, 1);
  refiner.model = finish; /* the first has this one, and not the adapter */
  named.refiner = &refiner;
  assert_false(placement_child_for(&worker, "m", &named, &child));
  named.n_adapter = 0;
  assert_true(placement_child_for(&worker, "m", &named, &child));
  assert_int_equal(child, 0);
}

/* Nobody names a tiny decoder: where one has it the job goes there, else anywhere, for an engine
 * says best what is missing. */
static void the_one_with_a_tiny_decoder(void **state) {
  static struct models_table table;
  static const struct worker_device places[] = {{.name = "one", .open = "one"},
                                                {.name = "two", .open = "two"}};
  static char model[] = "m";
  static const struct {
    const char *family; /* of the row, that is on "two" */
    bool picture, preview;
    size_t child;
  } cases[] = {{"sd1", true, false, 1},
               {NULL, true, false, 1},
               {"sd1", false, true, 1},
               {"sdxl", true, false, 0},
               {"sd1", false, false, 0}};
  for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
    size_t child = 99;
    assert_int_equal(setup(state), 0);
    worker.table = &table;
    table.row[0] = (struct models_row){
        .kind = MODELS_TINY, .devices = "two", .source.family = cases[i].family};
    table.count = 1;
    has(engine(9), "m", 512);
    has(engine(1), "m", 512);
    for (size_t k = 0; k < 2; k++) {
      struct child *one = &worker.children.child[k];
      one->place = &places[k];
      snprintf(one->model[0].family, sizeof one->model[0].family, "sd1");
    }
    Darkroom__V1__Job asked = DARKROOM__V1__JOB__INIT;
    asked.model = model;
    asked.tiny_decoder = cases[i].picture;
    asked.has_preview_every = asked.has_preview_kind = cases[i].preview;
    asked.preview_every = cases[i].preview;
    asked.preview_kind = DARKROOM__V1__PREVIEW_KIND__PREVIEW_TINY;
    assert_true(placement_child_for(&worker, "m", &asked, &child));
    assert_int_equal(child, cases[i].child);
  }
}

static void an_engine_that_is_taken_alone_takes_nobody_else(void **state) {
  (void)state;
  size_t child = 99;
  has(engine(4), "m", 512);
  has(engine(1), "m", 512);
  struct held *suspect = job(0, 1, HELD_WAITING);
  suspect->alone = true;
  assert_int_equal(granted("m"), 1); /* the other engine's */
  assert_true(placement_child_for(&worker, "m", NULL, &child));
  assert_int_equal(child, 1);
  job(1, 1, HELD_RUNNING);
  assert_int_equal(granted("m"), 0);
  assert_true(placement_child_for(&worker, "m", NULL, &child));
  assert_int_equal(child, 1); /* overfull before alone */
  suspect->state = HELD_RUNNING;
  suspect->steps = 2;
  suspect->step = 1;
  child_note_turn(&worker.children.child[0], 1000);
  assert_int_equal(granted("m"), 0); /* nobody is fetched ahead either */
  suspect->state = HELD_STORING;
  assert_int_equal(granted("m"), 4); /* the engine is through with it */
}

static void who_waits_before_an_engine_has_its_slots(void **state) {
  (void)state;
  has(engine(4), "m", 512);
  job(0, 3, HELD_WAITING);
  assert_int_equal(placement_free_slots(&worker, 0), 1);
  assert_false(placement_has_jobs(&worker, 0));
  job(0, 1, HELD_ADMITTED);
  assert_true(placement_has_jobs(&worker, 0));
}

/* Two slots for two models: when one job has come, the credits said and those granted are worth the
 * same, and a second CLAIM would be granted over what is on its way. */
static void a_claim_is_not_said_again_over_pushes(void **state) {
  (void)state;
  Darkroom__V1__Job pushed = DARKROOM__V1__JOB__INIT;
  Darkroom__V1__Assign assign = DARKROOM__V1__ASSIGN__INIT;
  struct child *child = engine(2);
  has(child, "a", 512);
  has(child, "b", 512);
  claim_tend(&worker);
  uint64_t said = worker.claim_correlation;
  assert_int_equal(worker.said_jobs, 2);
  pushed.model = (char *)"a";
  assign.job = &pushed;
  job(0, 1, HELD_ADMITTED);
  claim_used(&worker, &assign, said);
  claim_tend(&worker);
  assert_int_equal(worker.claim_correlation, said);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup(a_claim_is_not_said_again_over_pushes, setup),
      cmocka_unit_test_setup(a_slot_is_granted_once_whatever_the_models, setup),
      cmocka_unit_test_setup(engines_that_differ_are_never_granted_twice, setup),
      cmocka_unit_test_setup(engines_that_are_alike_add_up, setup),
      cmocka_unit_test_setup(nothing_is_granted_while_nothing_can_be_taken, setup),
      cmocka_unit_test_setup(a_store_that_is_away_is_rendered_for_up_to_the_spool, setup),
      cmocka_unit_test_setup(the_next_job_is_fetched_shortly_before_a_slot_falls_free, setup),
      cmocka_unit_test_setup(a_job_goes_where_the_most_slots_are_free, setup),
      cmocka_unit_test_setup(a_job_goes_where_all_that_it_names_is, setup),
      cmocka_unit_test_setup(the_one_with_a_tiny_decoder, setup),
      cmocka_unit_test_setup(an_engine_that_is_taken_alone_takes_nobody_else, setup),
      cmocka_unit_test_setup(who_waits_before_an_engine_has_its_slots, setup),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
