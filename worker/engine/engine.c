/* engine.c - opening and closing; jobs come and go in admission.c, what happens in between is
 * turn.c. */
#include "worker/engine/engine.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "worker/engine/admission.h"
#include "worker/engine/arrivals.h"
#include "worker/engine/example.h"
#include "worker/engine/memory.h"
#include "worker/engine/op_check.h"
#include "worker/engine/self_test.h"
#include "worker/engine/tinies.h"
#include "worker/engine/warmup.h"

#define PROCESS_BYTES_MAX ((size_t)512 * 1024 * 1024)

/* ---- opening ---- */

static enum status check_settings(const struct engine_settings *settings) {
  if (settings->slots < 1 || settings->slots > SAMPLES_MAX) {
    return fail_field(BAD_INPUT, "slots", "slots %d are not in 1..%d", settings->slots,
                      SAMPLES_MAX);
  }
  if (settings->batch_rows < 2 || settings->batch_rows > BATCH_ROWS_MAX) {
    return fail_field(BAD_INPUT, "batch_rows", "batch_rows %d are not in 2..%d",
                      settings->batch_rows, BATCH_ROWS_MAX);
  }
  if (settings->max_side < JOB_SIDE_PIXELS_MIN || settings->max_side > JOB_SIDE_PIXELS_MAX) {
    return fail_field(BAD_INPUT, "max_side", "max_side %d is not in %d..%d", settings->max_side,
                      JOB_SIDE_PIXELS_MIN, JOB_SIDE_PIXELS_MAX);
  }
  return OK;
}

/* The host's buffers are as large as the largest picture of any model, taken once. */
static enum status take_floats(struct engine *engine, size_t count, float **out) {
  float *floats = arena_take(engine->memory, count * sizeof *floats);
  if (floats == NULL) {
    return EXHAUSTED;
  }
  *out = floats;
  return OK;
}

/* Values of the largest latent image with so many channels beside the latents', and at least a row
 * of its picture. */
static size_t values_of(const struct resident *resident, size_t beside) {
  size_t side = (size_t)resident->max_side;
  size_t cells = side / (size_t)resident->family->scale_factor;
  size_t values = cells * cells * ((size_t)resident->family->vae.latent_channels + beside);
  return values > side * 3 ? values : side * 3;
}

static enum status take_room(struct engine *engine) {
  size_t values = 0, planes = 0, pixels = 0;
  for (size_t i = 0; i < engine->residence.count; i++) {
    const struct resident *resident = &engine->residence.rows[i];
    size_t side = (size_t)resident->max_side;
    size_t wanted = values_of(resident, 0), beside = values_of(resident, 1);
    values = wanted > values ? wanted : values;
    planes = beside > planes ? beside : planes;
    pixels = side * side > pixels ? side * side : pixels;
  }
  TRY(take_floats(engine, values, &engine->room.values));
  TRY(take_floats(engine, values, &engine->room.scratch));
  TRY(take_floats(engine, values, &engine->room.clean));
  TRY(take_floats(engine, planes, &engine->room.planes));
  size_t latents = values * sizeof(float);
  size_t whole = pixels * 3 > latents ? pixels * 3 : latents;
  /* a preview by a tiny decoder comes as a whole picture (glimpses.h) */
  return flights_open(&engine->flights, engine->settings.device, whole,
                      engine->residence.tiny_count > 0 ? whole : latents);
}

/* Whether the device computes what it should: its ops first, for they name what is wrong, then each
 * model's picture. */
static enum status try_itself(struct engine *engine) {
  struct self_test test = {.device = engine->settings.device, .answers = engine->settings.answers};
  for (size_t i = 0; i < engine->residence.count; i++) {
    if (engine->residence.rows[i].presence != AT_HOME) {
      continue; /* it is tried when it comes (trial.h) */
    }
    engine_model_info(engine, i, &test.model);
    test.source = &engine->settings.models[i].source;
    test.wants_picture = example_wanted(engine->residence.rows[i].family);
    TRY(self_test_run(engine, &test));
  }
  return OK;
}

static enum status fill(struct engine *engine) {
  const struct engine_settings *settings = &engine->settings;
  TRY(check_settings(settings));
  TRY(op_check(settings->device));
  TRY(residence_open(engine->memory, settings->device, settings->models, settings->model_count,
                     &engine->residence));
  TRY(residence_open_nets(engine->memory, settings->device, settings->extras, settings->extra_count,
                          &engine->residence));
  TRY(tinies_open(engine->memory, settings->device, settings->extras, settings->extra_count,
                  &engine->residence));
  TRY(memory_share(engine));
  TRY(take_room(engine));
  TRY(conditionings_open(engine->memory, settings->device, &engine->budget,
                         &engine->conditionings));
  const struct adapters_settings adapters = {
      .budget = &engine->budget,
      .conditionings = engine->conditionings,
      .extras = {engine->settings.extras, engine->settings.extra_count}};
  TRY(adapters_cache_open(engine->memory, &adapters, &engine->adapters));
  TRY(words_cache_open(engine->memory, &adapters, &engine->words));
  conditionings_ask_also(
      engine->conditionings,
      (struct forgetful){.forget_oldest = arrivals_forget_oldest, .context = engine});
  TRY(try_itself(engine));
  return warmup(engine);
}

enum status engine_open(const struct engine_settings *settings,
                        const struct engine_listener *listener, struct engine **out) {
  struct arena *memory = NULL;
  TRY(arena_open(NULL, PROCESS_BYTES_MAX, &memory));
  struct engine *engine = arena_take_zeroed(memory, sizeof *engine);
  if (engine == NULL) {
    arena_close(&memory);
    return EXHAUSTED;
  }
  engine->memory = memory;
  engine->settings = *settings;
  engine->arrivals.trial.admit = engine_admit;
  engine->listener = *listener;
  enum status status = fill(engine);
  if (status != OK) {
    engine_close(&engine);
    return status;
  }
  *out = engine;
  return OK;
}

void engine_close(struct engine **pointer) {
  if (pointer == NULL || *pointer == NULL) {
    return;
  }
  struct engine *engine = *pointer;
  arrivals_close(engine);
  (void)device_wait(engine->settings.device); /* a broken one too: nothing runs there any more */
  flights_close(&engine->flights);
  leaving_settle(&engine->leaving, &engine->flights, &engine->budget);
  for (int i = 0; i < SAMPLES_MAX; i++) {
    if (engine->tasks[i].taken) {
      task_drop(engine, &engine->tasks[i]);
    }
  }
  adapters_cache_close(&engine->adapters);
  words_cache_close(&engine->words);
  conditionings_close(&engine->conditionings);
  device_forget_sequences(engine->settings.device);
  for (int q = 0; q < SCRATCHES; q++) {
    arena_close(&engine->scratch[q].arena);
  }
  residence_close(&engine->residence);
  struct arena *memory = engine->memory;
  arena_close(&memory);
  *pointer = NULL;
}
