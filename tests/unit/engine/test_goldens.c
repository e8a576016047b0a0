/* test_goldens.c - prompt to pixels against diffusers (tests/model/goldens): the latents after
 * every evaluation of every sampler, and the picture. */
#include "tests/cases/device_rows.h"
#include "tests/unit/engine/workbench.h"

#include "proto/job.h"

enum { STEPS = 8, SIDE = 64, CELLS = 8, CHANNELS = 4, SEED = 1234 };
#define PIECE (CELLS * CELLS * CHANNELS)

struct bar {
  double latents;     /* relative to the largest value */
  int pixel_slack;    /* how far off a pixel may be */
  double pixels_past; /* share of them that may be further off */
};

static Darkroom__V1__Job golden_job(const char *model, const char *sampler) {
  Darkroom__V1__Job job = DARKROOM__V1__JOB__INIT;
  job.id = (char *)"golden";
  job.model = (char *)model;
  job.prompt = (char *)"a red house by the lake at night";
  job.negative_prompt = (char *)"snow and rain";
  job.has_width = job.has_height = job.has_steps = job.has_seed = job.has_guidance_scale = 1;
  job.width = job.height = SIDE;
  job.steps = STEPS;
  job.seed = SEED;
  job.guidance_scale = 7.5;
  job.has_sampler = job.has_noise_schedule = 1;
  assert_ok(job_sampler_parse(sampler, &job.sampler, &job.noise_schedule, NULL));
  return job;
}

static double check_pixels(struct workbench *bench, const struct sample *sample,
                           const uint8_t *want, int slack) {
  struct tensor pixels;
  static uint8_t got[SIDE * SIDE * 3];
  struct arena_mark mark = arena_mark(bench->scratch);
  assert_ok(tensor_take(bench->scratch, ELEMENT_U8, TENSOR_SHAPE(SIDE, SIDE, 3), &pixels));
  struct model *model = sample_stage(sample)->resident->model;
  struct decode decode;
  assert_ok(
      device_decode(bench->device, bench->scratch, model, &sample->latents, &pixels, &decode));
  assert_ok(model_decode(model, bench->scratch, &decode));
  assert_ok(device_get(bench->device, &pixels, got, sizeof got));
  arena_release(bench->scratch, mark);
  int past = 0;
  for (size_t i = 0; i < sizeof got; i++) {
    past += abs(got[i] - want[i]) > slack;
  }
  return (double)past / (double)sizeof got;
}

static void check_sampler(struct workbench *bench, const struct goldens *goldens, const char *model,
                          const char *sampler, const struct bar *bar) {
  Darkroom__V1__Job job = golden_job(model, sampler);
  struct task task;
  struct sample sample;
  char name[96];
  snprintf(name, sizeof name, "%s.%s.latents", model, sampler);
  const float *want = golden(goldens, name);
  workbench_begin(bench, &job, &task, &sample);
  double worst = 0.0;
  for (int row = 0; !sample_ended(&sample); row++) {
    workbench_step(bench, &sample);
    float *got = workbench_latents(bench, &sample);
    double off = tiny_difference(got, want + row * PIECE, (int64_t[]){1, CELLS, CELLS, CHANNELS});
    worst = off > worst ? off : worst;
    free(got);
  }
  snprintf(name, sizeof name, "%s.%s.pixels", model, sampler);
  double past = check_pixels(bench, &sample, golden(goldens, name), bar->pixel_slack);
  workbench_end(&task, &sample);
  print_message("%-8s %-16s on %s: latents %.1e relative, %.2f%% of pixels off by more than %d\n",
                model, sampler, device_name(bench->device), worst, 100 * past, bar->pixel_slack);
  assert_true(worst < bar->latents);
  assert_true(past <= bar->pixels_past);
}

/* Every sampler has them with the model's own noise schedule, and some with another. */
static bool has_goldens(const struct goldens *goldens, const char *model, const char *sampler) {
  Darkroom__V1__Job job = golden_job(model, sampler);
  char name[96];
  snprintf(name, sizeof name, "%s.%s.latents", model, sampler);
  return job.noise_schedule == DARKROOM__V1__NOISE_SCHEDULE__NOISE_SCHEDULE_MODEL ||
         safetensors_find(&goldens->table, name) != NULL;
}

static void check_all(const char *device, bool force_f32, const struct bar *bar) {
  static const char *const models[] = {"tiny-eps", "tiny-v"};
  struct workbench bench;
  struct goldens goldens;
  workbench_open(&bench, device, force_f32);
  goldens_open(&goldens);
  for (int m = 0; m < 2; m++) {
    for (size_t s = 0; job_sampler_offered(s) != NULL; s++) {
      if (has_goldens(&goldens, models[m], job_sampler_offered(s))) {
        check_sampler(&bench, &goldens, models[m], job_sampler_offered(s), bar);
      }
    }
  }
  goldens_close(&goldens);
  workbench_close(&bench);
}

static void every_sampler_on_ref(void **state) {
  (void)state;
  check_all("ref", false, &(struct bar){1e-3, 1, 0.001});
}

static void every_sampler_on_cpu_in_f32(void **state) {
  (void)state;
  check_all("cpu", true, &(struct bar){1e-3, 1, 0.001});
}

/* bf16 keeps 8 bits of every activation: the same picture to the eye. */
static void every_sampler_on_cpu(void **state) {
  (void)state;
  check_all("cpu", false, &(struct bar){0.1, 16, 0.05});
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(every_sampler_on_ref),
      cmocka_unit_test(every_sampler_on_cpu_in_f32),
      cmocka_unit_test(every_sampler_on_cpu),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
