/* test_resume.c - a sample written down after any row and taken up elsewhere ends in the same
 * bytes: slots, cursor and random are its whole state. */
#include "tests/unit/engine/workbench.h"

#include "proto/job.h"

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

/* What is written down. */
struct record {
  int cursor;
  struct random random;
  float *slots;
};

static void write_down(struct workbench *bench, const struct sample *sample,
                       struct record *record) {
  size_t bytes = tensor_bytes(&sample->slots);
  *record = (struct record){sample->cursor, sample->random, malloc(bytes)};
  assert_ok(device_get(bench->device, &sample->slots, record->slots, bytes));
}

static void take_up(struct workbench *bench, const struct record *record, struct sample *sample) {
  sample->cursor = record->cursor;
  sample->random = record->random;
  assert_ok(device_put(bench->device, record->slots, tensor_bytes(&sample->slots), &sample->slots));
}

static void check_resumed(struct workbench *bench, const char *sampler) {
  Darkroom__V1__Job job = resumed_job(sampler);
  struct task task, other;
  struct sample sample, taken;
  struct record records[8];
  workbench_begin(bench, &job, &task, &sample);
  for (int i = 0; i < task.recipe->stage[0].plan.rows; i++) {
    write_down(bench, &sample, &records[i]);
    workbench_step(bench, &sample);
  }
  float *want = workbench_latents(bench, &sample);
  for (int i = 0; i < task.recipe->stage[0].plan.rows; i++) {
    workbench_begin(bench, &job, &other, &taken);
    take_up(bench, &records[i], &taken);
    while (!sample_ended(&taken)) {
      workbench_step(bench, &taken);
    }
    float *got = workbench_latents(bench, &taken);
    assert_memory_equal(got, want, tensor_bytes(&taken.latents));
    free(got);
    free(records[i].slots);
    workbench_end(&other, &taken);
  }
  free(want);
  workbench_end(&task, &sample);
}

static void any_row_of_any_sampler(void **state) {
  (void)state;
  struct workbench bench;
  workbench_open(&bench, "ref", false);
  for (size_t s = 0; job_sampler_offered(s) != NULL; s++) {
    check_resumed(&bench, job_sampler_offered(s));
  }
  workbench_close(&bench);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(any_row_of_any_sampler)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
