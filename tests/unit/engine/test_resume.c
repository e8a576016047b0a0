/* test_resume.c - a sample written down after any row and taken up by another engine's objects ends
 * in the same bytes; what is no state of it is refused. */
#include <math.h>

#include "tests/unit/engine/workbench.h"

#include "proto/job.h"
#include "worker/engine/beginning.h"
#include "worker/engine/handover.h"
#include "worker/engine/record.h"

static Darkroom__V1__Job resumed_job(const char *sampler) {
  Darkroom__V1__Job job = DARKROOM__V1__JOB__INIT;
  job.id = (char *)"resumed";
  job.model = (char *)"tiny-eps";
  job.prompt = (char *)"a lake";
  job.has_width = job.has_height = job.has_steps = job.has_seed = 1;
  job.width = 32;
  job.height = 24;
  job.steps = 4;
  job.seed = 9;
  job.has_sampler = job.has_noise_schedule = 1;
  assert_ok(job_sampler_parse(sampler, &job.sampler, &job.noise_schedule, NULL));
  return job;
}

/* ---- every row, on another engine's objects ---- */

struct state {
  uint8_t *bytes;
  size_t count;
  uint32_t steps; /* of the user's that are behind it: not in the bytes, but it must follow */
};

static struct state write_down(struct workbench *bench, const struct sample *sample) {
  struct state state = {.count = sample_state_bytes(sample), .steps = sample->steps};
  state.bytes = malloc(state.count);
  assert_ok(sample_state_write(sample, bench->device, state.bytes));
  return state;
}

static struct beginning beginning_of(const struct state *state) {
  return (struct beginning){
      .kind = BEGINNING_STATE, .state = state->bytes, .state_bytes = state->count};
}

/* To the next stage, as the engine hands a sample on (handover.c). */
static void hand_on(struct workbench *bench, struct sample *sample) {
  const struct stage *stage = sample_stage(sample), *next = stage + 1;
  const struct grid from = {stage->latent_height, stage->latent_width, 4};
  const struct grid to = {next->latent_height, next->latent_width, 4};
  float *latents = workbench_latents(bench, sample);
  float *larger = malloc((size_t)to.height * (size_t)to.width * 4 * sizeof *larger);
  grid_resize(&from, latents, &to, larger);
  assert_ok(sample_enter(sample, sample->stage + 1));
  if (next->begin == BEGIN_LATENTS) {
    const struct beginning beginning = {.kind = BEGINNING_IMAGE, .latents = larger};
    assert_ok(sample_begin(sample, bench->device, &bench->room, &beginning));
  } else {
    sample->encode = ENCODE_IMAGE;
    sample_moved(sample);
    workbench_encode(bench, sample);
  }
  free(latents);
  free(larger);
}

static void go_on(struct workbench *bench, struct sample *sample) {
  if (sample_needs(sample) == NEED_STEP) {
    workbench_step(bench, sample);
  } else {
    hand_on(bench, sample);
  }
}

/* Taken up from there it ends in those latents; written down again at once it is the same. */
static void check_taken_up(struct workbench *bench, const Darkroom__V1__Job *job,
                           const struct state *state, const float *want) {
  struct task task;
  struct sample sample;
  struct beginning beginning = beginning_of(state);
  workbench_begin(bench, job, &task, &sample);
  assert_ok(sample_begin(&sample, bench->device, &bench->room, &beginning));
  struct state again = write_down(bench, &sample);
  assert_int_equal(again.count, state->count);
  assert_int_equal(again.steps, state->steps);
  assert_memory_equal(again.bytes, state->bytes, state->count);
  free(again.bytes);
  while (!sample_ended(&sample)) {
    go_on(bench, &sample);
  }
  float *got = workbench_latents(bench, &sample);
  assert_memory_equal(got, want, tensor_bytes(&sample.latents));
  free(got);
  workbench_end(&task, &sample);
}

static void check_resumed(struct workbench *bench, struct workbench *other,
                          const Darkroom__V1__Job *job) {
  enum { ROWS_MAX = 16 };
  struct task task;
  struct sample sample;
  struct state states[ROWS_MAX];
  int rows = 0;
  workbench_begin(bench, job, &task, &sample);
  while (!sample_ended(&sample)) {
    assert_true(rows < ROWS_MAX);
    states[rows++] = write_down(bench, &sample);
    go_on(bench, &sample);
  }
  float *want = workbench_latents(bench, &sample);
  for (int i = 0; i < rows; i++) {
    check_taken_up(other, job, &states[i], want);
    free(states[i].bytes);
  }
  free(want);
  workbench_end(&task, &sample);
}

static void any_row_of_any_sampler(void **state) {
  (void)state;
  struct workbench bench, other;
  workbench_open(&bench, "ref", false);
  workbench_open(&other, "ref", false);
  for (size_t s = 0; job_sampler_offered(s) != NULL; s++) {
    Darkroom__V1__Job job = resumed_job(job_sampler_offered(s));
    check_resumed(&bench, &other, &job);
  }
  workbench_close(&other);
  workbench_close(&bench);
}

/* A model with fewer slots goes on behind one with more, and the other way round. */
static void any_row_of_two_models(void **state) {
  (void)state;
  static const char *const names[] = {"dpmpp_2m", "lms", "euler_a"};
  struct workbench bench, other;
  Darkroom__V1__Refiner refiner = DARKROOM__V1__REFINER__INIT;
  refiner.model = (char *)"tiny-v";
  refiner.start = 0.5;
  workbench_open(&bench, "ref", false);
  workbench_open(&other, "ref", false);
  for (size_t s = 0; s < sizeof names / sizeof names[0]; s++) {
    Darkroom__V1__Job job = resumed_job(names[s]);
    job.refiner = &refiner;
    check_resumed(&bench, &other, &job);
  }
  workbench_close(&other);
  workbench_close(&bench);
}

static Darkroom__V1__Upscale upscale_of(Darkroom__V1__UpscaleKind kind) {
  Darkroom__V1__Upscale upscale = DARKROOM__V1__UPSCALE__INIT;
  upscale.has_kind = upscale.has_width = upscale.has_height = 1;
  upscale.kind = kind;
  upscale.width = 48;
  upscale.height = 40;
  upscale.strength = 0.75;
  return upscale;
}

/* Before, between and after: the second stage is larger, and its memory divided anew. */
static void any_row_of_two_sizes(void **state) {
  (void)state;
  static const char *const names[] = {"dpmpp_2m", "euler_a"};
  struct workbench bench, other;
  workbench_open(&bench, "ref", false);
  workbench_open(&other, "ref", false);
  for (size_t s = 0; s < 4; s++) {
    Darkroom__V1__Job job = resumed_job(names[s / 2]);
    Darkroom__V1__Upscale upscale =
        upscale_of(s % 2 == 0 ? DARKROOM__V1__UPSCALE_KIND__UPSCALE_LATENT
                              : DARKROOM__V1__UPSCALE_KIND__UPSCALE_PIXEL);
    job.upscale = &upscale;
    check_resumed(&bench, &other, &job);
  }
  workbench_close(&other);
  workbench_close(&bench);
}

/* What a mask keeps goes along: it is not encoded again. */
static void any_row_with_a_mask(void **state) {
  (void)state;
  static const char *const names[] = {"euler_a", "dpmpp_2m", "heun"};
  static uint8_t rgb[32 * 24 * 3], mask[32 * 24];
  static const struct engine_input input[] = {{INPUT_IMAGE, 0, 32, 24, 3, rgb, sizeof rgb},
                                              {INPUT_MASK, 0, 32, 24, 1, mask, sizeof mask}};
  const struct engine_inputs inputs = {input, 2};
  struct workbench bench, other;
  Darkroom__V1__Blob blob = DARKROOM__V1__BLOB__INIT;
  for (size_t i = 0; i < sizeof mask; i++) {
    mask[i] = (uint8_t)(i % 32 * 8);
  }
  workbench_open(&bench, "ref", false);
  workbench_open(&other, "ref", false);
  bench.inputs = other.inputs = &inputs;
  for (size_t s = 0; s < 2 * sizeof names / sizeof names[0]; s++) {
    Darkroom__V1__Job job = resumed_job(names[s / 2]);
    job.image = job.mask = &blob;
    job.has_strength = 1;
    job.strength = s % 2 == 0 ? 0.75 : 1.0;
    check_resumed(&bench, &other, &job);
    job.model = (char *)"tiny-inpaint"; /* what it is told of the mask goes along as well */
    check_resumed(&bench, &other, &job);
    Darkroom__V1__Upscale upscale = upscale_of(DARKROOM__V1__UPSCALE_KIND__UPSCALE_PIXEL);
    job.upscale = &upscale;
    check_resumed(&bench, &other, &job);
  }
  workbench_close(&other);
  workbench_close(&bench);
}

/* ---- noise that was drawn for a row that is still to come ---- */

static void drawn_noise_goes_along(void **state) {
  (void)state;
  struct workbench bench;
  struct task task;
  struct sample sample;
  Darkroom__V1__Job job = resumed_job("euler_a");
  workbench_open(&bench, "ref", false);
  workbench_begin(&bench, &job, &task, &sample);
  assert_ok(sample_prepare(&sample, bench.device, &bench.room)); /* a turn that was not queued */
  assert_true(sample.drawn);
  struct state drawn = write_down(&bench, &sample);
  while (!sample_ended(&sample)) {
    workbench_step(&bench, &sample);
  }
  float *want = workbench_latents(&bench, &sample);
  check_taken_up(&bench, &job, &drawn, want);
  free(want);
  free(drawn.bytes);
  workbench_end(&task, &sample);
  workbench_close(&bench);
}

/* Pieces of fewer than 16 values are drawn in pairs, and the second of a pair may wait in the
 * generator. */
static void a_held_back_normal_goes_along(void **state) {
  (void)state;
  struct workbench bench;
  struct task task;
  struct sample sample;
  float one;
  Darkroom__V1__Job job = resumed_job("euler_a");
  job.width = job.height = 8;
  workbench_open(&bench, "ref", false);
  workbench_begin(&bench, &job, &task, &sample);
  random_normal(&sample.random, &one, 1);
  assert_true(sample.random.has_cached);
  struct state held = write_down(&bench, &sample);
  while (!sample_ended(&sample)) {
    workbench_step(&bench, &sample);
  }
  float *want = workbench_latents(&bench, &sample);
  check_taken_up(&bench, &job, &held, want);
  free(want);
  free(held.bytes);
  workbench_end(&task, &sample);
  workbench_close(&bench);
}

/* ---- what is no state of this image ---- */

static void check_refused(struct workbench *bench, struct sample *sample,
                          const struct state *state) {
  struct state before = write_down(bench, sample);
  struct beginning beginning = beginning_of(state);
  assert_int_equal(sample_begin(sample, bench->device, &bench->room, &beginning), BAD_INPUT);
  assert_string_equal(fail_field_name(), "state");
  struct state after = write_down(bench, sample);
  assert_int_equal(after.count, before.count);
  assert_memory_equal(after.bytes, before.bytes, before.count);
  free(before.bytes);
  free(after.bytes);
}

/* Where the head's numbers lie (record.h). */
enum { AT_VERSION = 8, AT_STAGE = 12, AT_CURSOR = 16, AT_DRAWN = 20, AT_DIGEST = 24, AT_NEXT = 44 };

static void a_damaged_state_is_refused_by_name(void **state) {
  (void)state;
  static const int places[] = {0, AT_VERSION, AT_STAGE, AT_CURSOR, AT_DRAWN, AT_DIGEST, AT_NEXT};
  struct workbench bench;
  struct task task;
  struct sample sample;
  Darkroom__V1__Job job = resumed_job("euler");
  workbench_open(&bench, "ref", false);
  workbench_begin(&bench, &job, &task, &sample);
  struct state whole = write_down(&bench, &sample);
  for (size_t i = 0; i < sizeof places / sizeof places[0]; i++) {
    whole.bytes[places[i] + 1] ^= 0x40; /* 16384 too many where it is a number */
    check_refused(&bench, &sample, &whole);
    whole.bytes[places[i] + 1] ^= 0x40;
  }
  uint8_t last[4];
  memcpy(last, whole.bytes + whole.count - 4, 4);
  memcpy(whole.bytes + whole.count - 4, &(float){NAN}, 4); /* latents that overflowed */
  check_refused(&bench, &sample, &whole);
  memcpy(whole.bytes + whole.count - 4, last, 4);
  for (size_t count = whole.count; count-- > 0; count = count > 3000 ? count - 997 : count) {
    check_refused(&bench, &sample, &(struct state){whole.bytes, count, 0});
    count = count > 600 ? count - 500 : count;
  }
  free(whole.bytes);
  workbench_end(&task, &sample);
  workbench_close(&bench);
}

static void another_plan_is_refused(void **state) {
  (void)state;
  struct workbench bench;
  struct task task, other_task;
  struct sample sample, other;
  workbench_open(&bench, "ref", false);
  Darkroom__V1__Job job = resumed_job("euler"), changed[4];
  workbench_begin(&bench, &job, &task, &sample);
  struct state own = write_down(&bench, &sample);
  changed[0] = resumed_job("ddim");
  changed[1] = changed[2] = changed[3] = job;
  changed[1].steps = 5;
  changed[2].width = 24;
  changed[3].model = (char *)"tiny-v";
  for (int i = 0; i < 4; i++) {
    workbench_begin(&bench, &changed[i], &other_task, &other);
    check_refused(&bench, &other, &own);
    workbench_end(&other_task, &other);
  }
  free(own.bytes);
  workbench_end(&task, &sample);
  workbench_close(&bench);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(any_row_of_any_sampler),
      cmocka_unit_test(any_row_of_two_models),
      cmocka_unit_test(any_row_of_two_sizes),
      cmocka_unit_test(any_row_with_a_mask),
      cmocka_unit_test(drawn_noise_goes_along),
      cmocka_unit_test(a_held_back_normal_goes_along),
      cmocka_unit_test(a_damaged_state_is_refused_by_name),
      cmocka_unit_test(another_plan_is_refused),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
