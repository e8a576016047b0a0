/* self_test_parts.c - the jobs of a self-test, and what is thought of their pictures. */
#include "worker/engine/self_test.h"

#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "base/bytes.h"
#include "base/hash.h"
#include "base/limits.h"
#include "base/version.h"
#include "kernels/tensor.h"
#include "worker/engine/answers.h"
#include "worker/engine/example.h"

enum { STEPS = 2, SEED = 1, RUNS = SELF_TEST_RUNS };

static void on_started(void *context, const char *id, uint64_t fence) {
  (void)context, (void)id, (void)fence;
}
static void on_step(void *context, const char *id, uint64_t fence, uint32_t step, uint32_t steps) {
  (void)context, (void)id, (void)fence, (void)step, (void)steps;
}
static void on_turn(void *context, uint32_t rows, uint32_t samples, uint64_t microseconds) {
  (void)context, (void)rows, (void)samples, (void)microseconds;
}
static void on_finished(void *context, const char *id, uint64_t fence,
                        const Darkroom__V1__Timings *timings) {
  (void)context, (void)id, (void)fence, (void)timings;
}

static void on_pixels(void *context, const struct engine_picture *picture) {
  struct self_test_outcome *outcome = context;
  if (picture->index != 0) {
    return; /* the stranger's */
  }
  outcome->side = picture->width;
  memcpy(outcome->rgb[picture->fence], picture->rgb, (size_t)picture->width * picture->height * 3);
  outcome->pictures++;
}

static void on_failed(void *context, const char *id, uint64_t fence, Darkroom__V1__FailKind kind,
                      const Darkroom__V1__Error *error) {
  (void)id, (void)fence, (void)kind;
  struct self_test_outcome *outcome = context;
  snprintf(outcome->reason, sizeof outcome->reason, "%s", error->message);
}

/* The run's number is its fence; in the second a second image goes along. */
enum status self_test_job(const struct self_test *test, uint64_t number, struct example *example,
                          Darkroom__V1__Job *out) {
  const Darkroom__V1__ModelInfo *model = &test->model;
  uint32_t side = model->max_side < ANSWER_SIDE_MAX ? model->max_side : ANSWER_SIDE_MAX;
  Darkroom__V1__Job job = DARKROOM__V1__JOB__INIT;
  job.id = (char *)SELF_TEST_ID;
  job.model = model->id;
  job.prompt = (char *)"a lake";
  job.has_width = job.has_height = 1;
  job.width = job.height = side;
  job.has_steps = job.has_seed = job.has_images = job.has_sampler = 1;
  job.steps = STEPS;
  job.seed = SEED;
  job.images = 1 + (uint32_t)number;
  job.sampler = DARKROOM__V1__SAMPLER__SAMPLER_EULER_A;
  if (test->wants_picture) {
    TRY(example_open(&job, example));
  }
  *out = job;
  return OK;
}

static enum status judge(const char *model, const struct self_test_outcome *outcome) {
  if (outcome->pictures != RUNS) {
    return fail(BROKEN, "self-test of model %s: %s", model, outcome->reason);
  }
  size_t bytes = (size_t)outcome->side * outcome->side * 3;
  if (memcmp(outcome->rgb[0], outcome->rgb[1], bytes) != 0) {
    return fail(BROKEN, "self-test of model %s: not the same picture when run again in a batch",
                model);
  }
  return OK;
}

/* Whatever decides the bits of a picture. */
static uint64_t hash_folder(uint64_t value, const char *folder) {
  static const char *const files[] = {"model_index.json",
                                      "scheduler/scheduler_config.json",
                                      "text_encoder/config.json",
                                      "text_encoder_2/config.json",
                                      "unet/config.json",
                                      "vae/config.json",
                                      "tokenizer/vocab.json",
                                      "tokenizer/merges.txt",
                                      "tokenizer_2/vocab.json",
                                      "tokenizer_2/merges.txt",
                                      "vocab.json",
                                      "merges.txt"};
  for (size_t i = 0; folder != NULL && i < sizeof files / sizeof files[0]; i++) {
    char path[PATH_MAX];
    struct bytes text;
    snprintf(path, sizeof path, "%s/%s", folder, files[i]);
    bytes_open(&text, VOCABULARY_BYTES_MAX);
    value = hash_on(value, files[i], strlen(files[i]) + 1);
    if (bytes_read_file(&text, path) == OK) { /* what is not there says nothing */
      value = hash_on(value, text.data, text.length);
    }
    bytes_close(&text);
  }
  return value;
}

static uint64_t hash_word(uint64_t value, const char *word) {
  return word != NULL ? hash_on(value, word, strlen(word) + 1) : hash_on(value, "", 1);
}

/* The same weights make other pictures under another config: by what a scheduler config, or the
 * model table, says of the prediction alone, a model of noise is one of velocity. */
static uint64_t hash_configs(const struct model_source *source) {
  uint64_t value = HASH_START;
  if (source == NULL) {
    return value;
  }
  value = hash_folder(value, source->folder);
  value = hash_folder(value, source->configs);
  value = hash_folder(value, source->tokenizer);
  value = hash_word(value, source->file);
  value = hash_word(value, source->family);
  value = hash_word(value, source->prediction);
  return hash_word(value, source->averaged ? "averaged" : NULL);
}

static enum status name_subject(const struct self_test *test, char *out, size_t bytes) {
  struct device_info info;
  TRY(device_describe(test->device, &info));
  const char *name = device_name(test->device);
  snprintf(out, bytes, "%s|%016" PRIx64 "|%.*s|%s|%s|%s|%s|%s", test->model.sha256,
           hash_configs(test->source), (int)strcspn(name, ":"), name,
           element_name(device_element(test->device)), info.model, info.runtime,
           device_determinism(test->device) == DETERMINISM_STRICT ? "strict" : "fast",
           DARKROOM_VERSION);
  return OK;
}

static enum status compare(const struct self_test *test, const struct self_test_outcome *outcome) {
  char subject[ANSWER_SUBJECT_BYTES_MAX];
  if (test->answers == NULL || test->model.sha256 == NULL) {
    return OK;
  }
  TRY(name_subject(test, subject, sizeof subject));
  const struct answer answer = {subject, outcome->side, outcome->side, outcome->rgb[0]};
  if (answers_compare(test->answers, &answer) == BROKEN) {
    char reason[FAIL_REASON_MAX];
    snprintf(reason, sizeof reason, "%s", fail_reason());
    return fail(BROKEN, "self-test picture of model %s: %.440s", test->model.id, reason);
  }
  return OK;
}

struct engine_listener self_test_listener(struct self_test_outcome *outcome) {
  *outcome = (struct self_test_outcome){.reason = "no picture came out"};
  return (struct engine_listener){.context = outcome,
                                  .started = on_started,
                                  .step = on_step,
                                  .pixels = on_pixels,
                                  .finished = on_finished,
                                  .failed = on_failed,
                                  .turn = on_turn};
}

enum status self_test_judge(const struct self_test *test, const struct self_test_outcome *outcome) {
  TRY(judge(test->model.id, outcome));
  return compare(test, outcome);
}
