/* bench_engine.c - the engine in process on the demo model: prompt to pixels, guidance as one batch
 * of two, and eight jobs through step batching beside the same eight one after another.
 *
 *     bench_engine [MODEL-FOLDER] [THREADS]      models/demo and all cores unless given
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "monitoring/log.h"
#include "tests/cases/device_rows.h"
#include "worker/engine/engine.h"

enum { STEPS = 20, JOBS = 8, REPEATS = 7, CALLS = 30 };
#define GUIDANCE 7.5
#define PROMPT "a mountain landscape with a lake at sunset"
#define MEMORY_BYTES ((size_t)1 << 30)

#define CHECK(call)                                         \
  do {                                                      \
    if ((call) != OK) {                                     \
      fprintf(stderr, "bench_engine: %s\n", fail_reason()); \
      exit(1);                                              \
    }                                                       \
  } while (0)

/* What the engine told of the latest jobs. */
static struct {
  int finished;
  uint64_t encode_us, denoise_us, decode_us, turn_us;
} told;

static void on_started(void *context, const char *id, uint64_t fence) {
  (void)context, (void)id, (void)fence;
}
static void on_step(void *context, const char *id, uint64_t fence, uint32_t step, uint32_t steps) {
  (void)context, (void)id, (void)fence, (void)step, (void)steps;
}
static void on_pixels(void *context, const struct engine_picture *picture) {
  (void)context, (void)picture;
}
static void on_finished(void *context, const char *id, uint64_t fence,
                        const Darkroom__V1__Timings *timings) {
  (void)context, (void)id, (void)fence;
  told.finished++;
  told.encode_us = timings->encode_us;
  told.denoise_us = timings->denoise_us;
  told.decode_us = timings->decode_us;
}
static void on_failed(void *context, const char *id, uint64_t fence, Darkroom__V1__FailKind kind,
                      const Darkroom__V1__Error *error) {
  (void)context, (void)fence, (void)kind;
  fprintf(stderr, "bench_engine: job %s failed: %s\n", id, error->message);
  exit(1);
}
static void on_turn(void *context, uint32_t rows, uint32_t samples, uint64_t microseconds) {
  (void)context, (void)rows, (void)samples;
  told.turn_us += microseconds;
}
static const struct engine_listener listener = {.started = on_started,
                                                .step = on_step,
                                                .pixels = on_pixels,
                                                .finished = on_finished,
                                                .failed = on_failed,
                                                .turn = on_turn};

static double ms_since(int64_t start_ns) { return (double)(clock_ns() - start_ns) / 1e6; }

static int compare(const void *a, const void *b) {
  double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}
static double median(double *values, int count) {
  qsort(values, (size_t)count, sizeof *values, compare);
  return values[count / 2];
}

/* ---- jobs ---- */

/* guidance 1: none, one row an image. */
static void admit(struct engine *engine, int k, const char *prompt, double guidance) {
  char id[32];
  snprintf(id, sizeof id, "job-%d", k);
  Darkroom__V1__Job job = DARKROOM__V1__JOB__INIT;
  job.id = id;
  job.model = (char *)"demo";
  job.prompt = (char *)prompt;
  job.has_steps = job.has_seed = job.has_guidance_scale = 1;
  job.guidance_scale = guidance;
  job.steps = STEPS;
  job.seed = (uint64_t)k;
  CHECK(engine_admit(engine, &job, 1, NULL));
}
static void run(struct engine *engine) {
  while (engine_busy(engine)) {
    CHECK(engine_turn(engine));
  }
}

static void bench_one_job(struct engine *engine) {
  double whole[REPEATS], step[REPEATS], decode[REPEATS];
  for (int i = 0; i < REPEATS; i++) {
    char prompt[128];
    snprintf(prompt, sizeof prompt, PROMPT "%.*s", i,
             "......."); /* a new one, so that it is encoded */
    int64_t start = clock_ns();
    admit(engine, i, prompt, GUIDANCE);
    run(engine);
    whole[i] = ms_since(start);
    step[i] = (double)told.denoise_us / 1e3 / STEPS;
    decode[i] = (double)told.decode_us / 1e3;
    if (i == 0) {
      printf("engine_prompt_to_pixels_first %.1f ms\n", whole[0]);
      printf("engine_encode %.2f ms\n", (double)told.encode_us / 1e3);
    }
  }
  printf("engine_prompt_to_pixels %.1f ms\n", median(whole, REPEATS));
  printf("engine_step %.2f ms\n", median(step, REPEATS));
  printf("engine_decode %.2f ms\n", median(decode, REPEATS));
}

/* Images a second of eight jobs, together or one after another, the better of a few tries (the
 * machine may be shared). */
static double jobs_per_second(struct engine *engine, bool together, double guidance) {
  double best = 0.0;
  for (int i = 0; i < 3; i++) {
    int64_t start = clock_ns();
    for (int k = 0; k < JOBS; k++) {
      admit(engine, k, PROMPT, guidance);
      if (!together) {
        run(engine);
      }
    }
    run(engine);
    double rate = JOBS * 1e3 / ms_since(start);
    best = rate > best ? rate : best;
  }
  return best;
}

static void bench_eight_jobs(struct engine *engine) {
  int64_t start = clock_ns();
  for (int k = 0; k < JOBS;
       k++) { /* one joins after the other: every size of batch for the first time */
    admit(engine, k, PROMPT, GUIDANCE);
    CHECK(engine_turn(engine));
  }
  printf("engine_all_batch_sizes_first %.1f ms\n", ms_since(start));
  run(engine);
  double apart = jobs_per_second(engine, false, GUIDANCE);
  double together = jobs_per_second(engine, true, GUIDANCE);
  printf("engine_eight_jobs_in_turn %.2f images/s\n", apart);
  printf("engine_eight_jobs_together %.2f images/s\n", together);
  printf("engine_step_batching %.3f x\n", together / apart);
  apart = jobs_per_second(engine, false, 1.0);
  together = jobs_per_second(engine, true, 1.0);
  printf("engine_step_batching_unguided %.3f x\n", together / apart);
}

/* ---- guidance ---- */

struct guided {
  struct model *model;
  struct device *device;
  struct arena *turn;
  struct conditioning cond, uncond;
  struct tensor input, prediction;
  const struct batch_row *rows;
};

static enum status predict(struct guided *guided, int first, int rows) {
  struct predict call = {.input = tensor_rows(&guided->input, first, rows),
                         .rows = guided->rows + first,
                         .prediction = tensor_rows(&guided->prediction, first, rows)};
  TRY(model_predict(guided->model, guided->turn, &call));
  return device_wait(guided->device);
}

static void bench_guidance(struct guided *guided) {
  double one_batch[CALLS], two_passes[CALLS];
  CHECK(predict(guided, 0, 2));
  CHECK(predict(guided, 0, 1));
  for (int i = 0; i < CALLS; i++) { /* in turn, so that both meet the same load of the machine */
    int64_t start = clock_ns();
    CHECK(predict(guided, 0, 2));
    one_batch[i] = ms_since(start);
    start = clock_ns();
    CHECK(predict(guided, 0, 1));
    CHECK(predict(guided, 1, 1));
    two_passes[i] = ms_since(start);
  }
  double together = median(one_batch, CALLS), apart = median(two_passes, CALLS);
  printf("unet_two_rows_one_batch %.2f ms\n", together);
  printf("unet_two_rows_two_passes %.2f ms\n", apart);
  printf("guidance_as_one_batch %.3f x\n", apart / together);
}

static void open_guided(struct guided *guided, struct device *device, const char *folder,
                        struct arena **keep) {
  struct model_source source = {.folder = folder};
  guided->device = device;
  CHECK(model_open(device, &source, &guided->model));
  CHECK(device_arena(device, MEMORY_BYTES, keep));
  CHECK(device_arena(device, MEMORY_BYTES, &guided->turn));
  const struct unet_facts *unet = &model_family(guided->model)->unet;
  int64_t side = unet->sample_side;
  CHECK(model_condition(guided->model, *keep, guided->turn, &(struct condition){.prompt = PROMPT},
                        &guided->cond, NULL));
  CHECK(model_condition(guided->model, *keep, guided->turn, &(struct condition){.prompt = ""},
                        &guided->uncond, NULL));
  const struct conditioning *conditionings[2] = {&guided->uncond, &guided->cond};
  const float timesteps[2] = {500, 500};
  CHECK(device_prompt_rows(device, *keep, timesteps, conditionings, 2, &guided->rows));
  CHECK(tensor_take(*keep, device_element(device), TENSOR_SHAPE(2, side, side, unet->in_channels),
                    &guided->input));
  CHECK(tensor_take(*keep, ELEMENT_F32, TENSOR_SHAPE(2, side, side, unet->out_channels),
                    &guided->prediction));
  size_t bytes = tensor_bytes(&guided->input);
  uint8_t *zero = calloc(1, bytes);
  CHECK(device_put(device, zero, bytes, &guided->input));
  free(zero);
}

int main(int argc, char **argv) {
  const char *folder = argc > 1 ? argv[1] : "models/demo";
  struct device_settings settings = {.threads = argc > 2 ? (int)strtol(argv[2], NULL, 10) : 0};
  log_open("bench", LOG_LOGFMT, LOG_WARNING);
  if (access(folder, R_OK) != 0) {
    printf("# no model in %s\n", folder);
    return 0;
  }
  struct device *device = NULL;
  CHECK(device_open("cpu", &settings, &device));
  printf("# engine on %s in %s, %d threads, %s\n", device_name(device),
         element_name(device_element(device)), device_threads(device), folder);
  const struct engine_model model = {.id = "demo", .source.folder = folder};
  struct engine_settings engine_settings = {.device = device,
                                            .models = &model,
                                            .model_count = 1,
                                            .slots = 16,
                                            .batch_rows = 16,
                                            .max_side = 512,
                                            .memory_max = MEMORY_BYTES};
  struct engine *engine = NULL;
  int64_t start = clock_ns();
  CHECK(engine_open(&engine_settings, &listener, &engine));
  printf("engine_open %.1f ms\n", ms_since(start));
  bench_one_job(engine);
  bench_eight_jobs(engine);
  engine_close(&engine);
  struct guided guided = {0};
  struct arena *keep = NULL;
  open_guided(&guided, device, folder, &keep);
  bench_guidance(&guided);
  arena_close(&keep);
  arena_close(&guided.turn);
  model_close(&guided.model);
  device_close(&device);
  return 0;
}
