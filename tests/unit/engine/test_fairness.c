/* test_fairness.c - who goes first: no shape, size, class or decode starves another. */
#include "tests/unit/engine/fake_engine.h"

static Darkroom__V1__Job sized(const char *id, uint32_t side, uint32_t steps) {
  Darkroom__V1__Job job = job_of(id, "a lake", 1);
  job.width = job.height = side;
  job.steps = steps;
  return job;
}

/* Counts U-Net calls by size among the last ones. */
static int calls_of(int64_t cells, int from) {
  int count = 0;
  for (int i = from; i < fake.calls; i++) {
    count += fake.cells[i] == cells;
  }
  return count;
}

static void a_busy_shape_does_not_starve_another(void **state) {
  struct fixture *fixture = *state;
  static char ids[7][32];
  Darkroom__V1__Job lone = sized("lone", 72, 20);
  for (int k = 0; k < 7; k++) {
    snprintf(ids[k], sizeof ids[k], "busy-%d", k);
    Darkroom__V1__Job busy = sized(ids[k], 64, 200);
    admit(fixture, &busy);
  }
  struct entry *entry = admit(fixture, &lone);
  run_turns(fixture, 60);
  assert_int_equal(entry->finished, 1);
  run_all(fixture);
}

/* A large picture and a small one get about the same of the device, counted in cells. */
static void work_is_shared_by_its_size(void **state) {
  struct fixture *fixture = *state;
  Darkroom__V1__Job small = sized("small", 64, 900), large = sized("large", 256, 900);
  admit(fixture, &small);
  admit(fixture, &large);
  run_turns(fixture, 340);
  int few = calls_of(1024, 0), many = calls_of(64, 0);
  assert_true(many >= 14 * few && many <= 18 * few);
  assert_true(few >= 18);
}

static void a_person_goes_first_and_bulk_goes_on(void **state) {
  struct fixture *fixture = *state;
  Darkroom__V1__Job bulk = sized("bulk", 72, 100), person = sized("person", 64, 32);
  bulk.has_priority = person.has_priority = 1;
  bulk.priority = DARKROOM__V1__PRIORITY__PRIORITY_BULK;
  person.priority = DARKROOM__V1__PRIORITY__PRIORITY_INTERACTIVE;
  struct entry *slow = admit(fixture, &bulk);
  run_turns(fixture, 10);
  struct entry *fast = admit(fixture, &person);
  uint32_t before = slow->step;
  while (fast->finished == 0) {
    run_turns(fixture, 1);
  }
  assert_true(slow->step > before);      /* it was not stopped */
  assert_true(slow->step - before <= 4); /* of the 34 turns it had a few */
  run_all(fixture);
  assert_int_equal(slow->finished, 1);
}

/* With more samples of a class than fit in a batch, all of them come round. */
static void a_full_batch_takes_turns(void **state) {
  struct fixture *fixture = *state;
  struct engine_settings settings = standard(fixture);
  settings.batch_rows = 4;
  open_engine(fixture, &settings);
  static char ids[6][32];
  struct entry *entries[6];
  for (int k = 0; k < 6; k++) {
    snprintf(ids[k], sizeof ids[k], "job-%d", k);
    Darkroom__V1__Job job = sized(ids[k], 64, 30);
    entries[k] = admit(fixture, &job);
  }
  for (int turn = 0; turn < 60; turn++) {
    run_turns(fixture, 1);
    uint32_t least = 1000, most = 0;
    for (int k = 0; k < 6; k++) {
      least = entries[k]->step < least ? entries[k]->step : least;
      most = entries[k]->step > most ? entries[k]->step : most;
    }
    assert_true(most - least <= 1);
  }
  run_all(fixture);
}

/* Someone with one step after another decoding all the time, someone with many steps: both go on.
 */
static void decodes_and_steps_interleave(void **state) {
  struct fixture *fixture = *state;
  Darkroom__V1__Job steps = sized("steps", 72, 40), decodes = sized("decodes", 64, 1);
  decodes.has_images = 1;
  decodes.images = 64;
  struct entry *stepping = admit(fixture, &steps);
  struct engine_settings settings = standard(fixture);
  (void)settings;
  struct entry *decoding = admit(fixture, &decodes);
  int turns = 0;
  while (stepping->finished == 0) {
    run_turns(fixture, 1);
    turns++;
  }
  assert_true(turns < 40 * 12);
  assert_true(decoding->pictures > 10);
  run_all(fixture);
  assert_int_equal(decoding->pictures, 64);
}

/* Waiting images of a higher class get the next free slot. */
static void slots_go_by_class(void **state) {
  struct fixture *fixture = *state;
  struct engine_settings settings = standard(fixture);
  settings.slots = 2;
  open_engine(fixture, &settings);
  Darkroom__V1__Job first = sized("first", 64, 2), bulk = sized("bulk", 64, 2);
  first.has_images = bulk.has_images = bulk.has_priority = 1;
  bulk.priority = DARKROOM__V1__PRIORITY__PRIORITY_BULK;
  bulk.images = 1;
  first.images = 6;
  struct entry *low = admit(fixture, &bulk), *high = admit(fixture, &first);
  assert_int_equal(engine_free_slots(fixture->engine), 0);
  run_all(fixture);
  assert_int_equal(low->finished, 1);
  assert_int_equal(high->pictures, 6);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      TEST(a_busy_shape_does_not_starve_another), TEST(work_is_shared_by_its_size),
      TEST(a_person_goes_first_and_bulk_goes_on), TEST(a_full_batch_takes_turns),
      TEST(decodes_and_steps_interleave),         TEST(slots_go_by_class),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
