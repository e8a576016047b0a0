/* test_engine.c - the life of a job in the engine, over a made-up model: what is told, who shares a
 * batch, how it leaves. */
#include "tests/unit/engine/fake_engine.h"

/* ---- the life of a job ---- */

static void a_job_from_start_to_end(void **state) {
  struct fixture *fixture = *state;
  Darkroom__V1__Job job = job_of("one", "a lake", 5);
  job.has_images = 1;
  job.images = 2;
  struct entry *entry = admit(fixture, &job);
  assert_int_equal(entry->started, 1);
  assert_int_equal(entry->fence, 7);
  assert_int_equal(engine_free_slots(fixture->engine), 6);
  run_all(fixture);
  assert_int_equal(entry->step_events, 4);
  assert_int_equal(entry->step, 8);
  assert_int_equal(entry->steps, 8);
  assert_false(fixture->book.backwards);
  assert_int_equal(entry->pictures, 2);
  assert_int_equal(entry->width, 64);
  assert_int_equal(entry->seed[1], 6);
  assert_int_equal(entry->finished, 1);
  assert_int_equal(entry->denoise_steps, 8);
  assert_int_equal(fixture->book.turns, 4);
  assert_int_equal(engine_free_slots(fixture->engine), 8);
  assert_int_equal(engine_turn(fixture->engine), OK);
}

static void rows_come_uncond_first_each_at_its_own_timestep(void **state) {
  struct fixture *fixture = *state;
  Darkroom__V1__Job guided = job_of("guided", "a lake", 1), plain = job_of("plain", "a house", 2);
  guided.negative_prompt = (char *)"rain";
  plain.has_guidance_scale = 1;
  plain.guidance_scale = 1.0;
  plain.steps = 8;
  admit(fixture, &guided);
  run_turns(fixture, 1);
  assert_int_equal(fake.rows[0], 2);
  assert_float_equal(fake.conditionings[0], fake_number("rain"), 1e-6);
  assert_float_equal(fake.conditionings[1], fake_number("a lake"), 1e-6);
  admit(fixture, &plain);
  run_turns(fixture, 1);
  assert_int_equal(fake.rows[1], 3);
  float plain_first = 999.0f, guided_second = 999.0f * 2 / 3;
  bool plain_is_first = fabsf(fake.timesteps[0] - plain_first) < 0.5f;
  assert_float_equal(fake.timesteps[plain_is_first ? 0 : 2], plain_first, 0.5);
  assert_float_equal(fake.timesteps[1], guided_second, 0.5);
  run_all(fixture);
  assert_int_equal(fixture->book.largest_rows, 3);
}

static void guidance_of_one_or_less_takes_one_row(void **state) {
  struct fixture *fixture = *state;
  static const double guidance[] = {1.0, 0.5, 0.0, 1.0000000001};
  for (int i = 0; i < 4; i++) {
    char id[32];
    snprintf(id, sizeof id, "g%d", i);
    Darkroom__V1__Job job = job_of(id, "a lake", 1);
    job.has_guidance_scale = 1;
    job.guidance_scale = guidance[i];
    fake.calls = 0;
    struct entry *entry = admit(fixture, &job);
    run_all(fixture);
    assert_int_equal(entry->finished, 1);
    assert_int_equal(fake.rows[0], 1);
  }
}

static void the_same_order_twice_is_one_job(void **state) {
  struct fixture *fixture = *state;
  Darkroom__V1__Job job = job_of("once", "a lake", 1);
  struct entry *entry = admit(fixture, &job);
  admit(fixture, &job);
  run_all(fixture);
  assert_int_equal(entry->started, 1);
  assert_int_equal(entry->pictures, 1);
}

/* ---- batch mates ---- */

/* Strangers join before, between and after its steps, and leave while it runs. */
static void a_job_does_not_depend_on_its_batch_mates(void **state) {
  struct fixture *fixture = *state;
  static const Darkroom__V1__Sampler kinds[] = {
      DARKROOM__V1__SAMPLER__SAMPLER_EULER, DARKROOM__V1__SAMPLER__SAMPLER_EULER_A,
      DARKROOM__V1__SAMPLER__SAMPLER_DDIM, DARKROOM__V1__SAMPLER__SAMPLER_DPMPP_2M};
  int k = 0;
  for (int s = 0; s < 4; s++) {
    Darkroom__V1__Job job = job_of("alone", "a lake", 42);
    job.steps = 9;
    job.sampler = kinds[s];
    struct entry *alone = admit(fixture, &job);
    run_all(fixture);
    job.id = (char *)"mated";
    for (int i = 0; i < 3; i++) {
      Darkroom__V1__Job other = stranger(k++);
      admit(fixture, &other);
    }
    run_turns(fixture, 1);
    struct entry *mated = admit(fixture, &job);
    for (int i = 0; i < 4; i++) {
      Darkroom__V1__Job other = stranger(k++);
      admit(fixture, &other);
      run_turns(fixture, 2);
      if (i == 2) {
        engine_stop(fixture->engine, other.id, 7);
      }
    }
    run_all(fixture);
    assert_true(fixture->book.largest_rows > 4);
    assert_int_equal(alone->pictures, 1);
    assert_int_equal(mated->pictures, 1);
    assert_memory_equal(alone->rgb, mated->rgb, 64 * 64 * 3);
    struct engine_settings settings = standard(fixture);
    open_engine(fixture, &settings);
  }
}

static void image_k_is_the_job_of_seed_plus_k(void **state) {
  struct fixture *fixture = *state;
  struct engine_settings settings = standard(fixture);
  settings.slots = 2; /* images wait inside */
  open_engine(fixture, &settings);
  Darkroom__V1__Job job = job_of("all", "a lake", 10);
  job.sampler = DARKROOM__V1__SAMPLER__SAMPLER_EULER_A;
  job.has_images = 1;
  job.images = 5;
  struct entry *all = admit(fixture, &job);
  assert_int_equal(engine_free_slots(fixture->engine), 0);
  run_all(fixture);
  assert_int_equal(all->pictures, 5);
  job.images = 1;
  for (uint64_t i = 0; i < 5; i++) {
    char id[32];
    snprintf(id, sizeof id, "s%d", (int)i);
    job.id = id;
    job.seed = 10 + i;
    struct entry *single = admit(fixture, &job);
    run_all(fixture);
    assert_true(single->hash[0] == all->hash[i]);
    assert_int_equal(all->seed[i], 10 + i);
  }
}

/* ---- leaving ---- */

static void a_stopped_job_is_gone_at_once(void **state) {
  struct fixture *fixture = *state;
  Darkroom__V1__Job job = job_of("stopped", "a lake", 1), other = job_of("other", "a house", 2);
  struct entry *stopped = admit(fixture, &job);
  struct entry *stays = admit(fixture, &other);
  run_turns(fixture, 2);
  engine_stop(fixture->engine, "stopped", 6); /* an older lease: not this one */
  assert_int_equal(engine_free_slots(fixture->engine), 6);
  engine_stop(fixture->engine, "stopped", 7);
  engine_stop(fixture->engine, "stopped", 7);
  engine_stop(fixture->engine, "never heard of", 1);
  assert_int_equal(engine_free_slots(fixture->engine), 7);
  int calls = fake.calls;
  run_turns(fixture, 1);
  assert_int_equal(fake.rows[calls], 2);
  run_all(fixture);
  assert_int_equal(stopped->step, 2);
  assert_int_equal(stopped->pictures + (uint32_t)stopped->finished + (uint32_t)stopped->failed, 0);
  assert_int_equal(stays->finished, 1);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      TEST(a_job_from_start_to_end),
      TEST(rows_come_uncond_first_each_at_its_own_timestep),
      TEST(guidance_of_one_or_less_takes_one_row),
      TEST(the_same_order_twice_is_one_job),
      TEST(a_job_does_not_depend_on_its_batch_mates),
      TEST(image_k_is_the_job_of_seed_plus_k),
      TEST(a_stopped_job_is_gone_at_once),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
