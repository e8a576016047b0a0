/* report.c - each report of pipe.proto from the listener call that causes it. */
#include "worker/engine/report.h"

#include <poll.h>

#include "worker/engine/pipe.pb-c.h"

/* Sends, waiting where the parent has stopped reading for a while; there is nothing better to do
 * with a full pipe. */
static void report(struct reporter *reporter, const Darkroom__Pipe__Report *message) {
  enum status status = reporter->lost ? UNAVAILABLE : pipe_send(reporter->pipe, &message->base);
  while (status == EXHAUSTED) {
    struct pollfd poller = {.fd = reporter->pipe->fd, .events = POLLOUT};
    poll(&poller, 1, -1);
    status = pipe_flush(reporter->pipe);
    status = status == OK ? pipe_send(reporter->pipe, &message->base) : status;
  }
  reporter->lost = reporter->lost || status != OK;
}

static void on_started(void *context, const char *id, uint64_t fence) {
  Darkroom__Pipe__Started started = DARKROOM__PIPE__STARTED__INIT;
  started.id = (char *)id;
  started.has_fence = 1;
  started.fence = fence;
  Darkroom__Pipe__Report message = DARKROOM__PIPE__REPORT__INIT;
  message.started = &started;
  report(context, &message);
}

static void on_step(void *context, const char *id, uint64_t fence, uint32_t done, uint32_t steps) {
  Darkroom__Pipe__Step step = DARKROOM__PIPE__STEP__INIT;
  step.id = (char *)id;
  step.has_fence = step.has_step = step.has_steps = 1;
  step.fence = fence;
  step.step = done;
  step.steps = steps;
  Darkroom__Pipe__Report message = DARKROOM__PIPE__REPORT__INIT;
  message.step = &step;
  report(context, &message);
}

static Darkroom__Pipe__Pixels pixels_of(const struct engine_picture *picture) {
  Darkroom__Pipe__Pixels pixels = DARKROOM__PIPE__PIXELS__INIT;
  pixels.id = (char *)picture->id;
  pixels.has_fence = pixels.has_index = pixels.has_seed = 1;
  pixels.has_width = pixels.has_height = pixels.has_rgb = 1;
  pixels.fence = picture->fence;
  pixels.index = picture->index;
  pixels.has_step = picture->step > 0;
  pixels.step = picture->step;
  pixels.seed = picture->seed;
  pixels.width = picture->width;
  pixels.height = picture->height;
  pixels.rgb.len = (size_t)picture->width * picture->height * 3;
  pixels.rgb.data = (uint8_t *)picture->rgb; /* packing only reads it */
  return pixels;
}

static void on_pixels(void *context, const struct engine_picture *picture) {
  Darkroom__Pipe__Pixels pixels = pixels_of(picture);
  Darkroom__Pipe__Report message = DARKROOM__PIPE__REPORT__INIT;
  message.pixels = &pixels;
  report(context, &message);
}

static void on_preview(void *context, const struct engine_picture *picture) {
  Darkroom__Pipe__Pixels pixels = pixels_of(picture);
  Darkroom__Pipe__Report message = DARKROOM__PIPE__REPORT__INIT;
  message.preview = &pixels;
  report(context, &message);
}

static void on_finished(void *context, const char *id, uint64_t fence,
                        const Darkroom__V1__Timings *timings) {
  Darkroom__Pipe__Finished finished = DARKROOM__PIPE__FINISHED__INIT;
  finished.id = (char *)id;
  finished.has_fence = 1;
  finished.fence = fence;
  finished.timings = (Darkroom__V1__Timings *)timings;
  Darkroom__Pipe__Report message = DARKROOM__PIPE__REPORT__INIT;
  message.finished = &finished;
  report(context, &message);
}

static void on_failed(void *context, const char *id, uint64_t fence, Darkroom__V1__FailKind kind,
                      const Darkroom__V1__Error *error) {
  Darkroom__Pipe__Failed failed = DARKROOM__PIPE__FAILED__INIT;
  failed.id = (char *)id;
  failed.has_fence = failed.has_kind = 1;
  failed.fence = fence;
  failed.kind = kind;
  failed.error = (Darkroom__V1__Error *)error;
  Darkroom__Pipe__Report message = DARKROOM__PIPE__REPORT__INIT;
  message.failed = &failed;
  report(context, &message);
}

static void on_turn(void *context, uint32_t rows, uint32_t samples, uint64_t microseconds) {
  Darkroom__Pipe__Turn turn = DARKROOM__PIPE__TURN__INIT;
  turn.has_rows = turn.has_samples = turn.has_microseconds = 1;
  turn.rows = rows;
  turn.samples = samples;
  turn.microseconds = microseconds;
  Darkroom__Pipe__Report message = DARKROOM__PIPE__REPORT__INIT;
  message.turn = &turn;
  report(context, &message);
}

static void on_warning(void *context, const char *id, uint64_t fence, const char *text) {
  Darkroom__Pipe__Warning warning = DARKROOM__PIPE__WARNING__INIT;
  warning.id = (char *)id;
  warning.has_fence = 1;
  warning.fence = fence;
  warning.text = (char *)text;
  Darkroom__Pipe__Report message = DARKROOM__PIPE__REPORT__INIT;
  message.warning = &warning;
  report(context, &message);
}

static void on_moved(void *context, const struct engine_move *moved) {
  Darkroom__Pipe__Move move = DARKROOM__PIPE__MOVE__INIT;
  move.model = (char *)moved->model;
  move.has_came = move.has_failed = move.has_bytes = move.has_milliseconds = move.has_home = 1;
  move.came = moved->came;
  move.failed = moved->failed != NULL;
  move.bytes = moved->bytes;
  move.milliseconds = (uint64_t)moved->ms;
  move.home = (uint32_t)moved->home;
  Darkroom__Pipe__Report message = DARKROOM__PIPE__REPORT__INIT;
  message.move = &move;
  report(context, &message);
}

struct engine_listener report_listener(struct reporter *reporter) {
  return (struct engine_listener){.context = reporter,
                                  .started = on_started,
                                  .step = on_step,
                                  .pixels = on_pixels,
                                  .finished = on_finished,
                                  .failed = on_failed,
                                  .turn = on_turn,
                                  .warning = on_warning,
                                  .preview = on_preview,
                                  .moved = on_moved};
}

/* A text of the contract: NULL where there is none. */
static char *known(char *text) { return text[0] != '\0' ? text : NULL; }

static void write_info(struct device *device, struct device_info *info,
                       Darkroom__V1__DeviceInfo *out) {
  darkroom__v1__device_info__init(out);
  out->model = known(info->model);
  out->uuid = known(info->uuid);
  out->driver = known(info->driver);
  out->runtime = known(info->runtime);
  out->has_capability = info->capability != 0;
  out->capability = (uint32_t)info->capability;
  out->has_memory_total = info->memory_total != 0;
  out->memory_total = info->memory_total;
  out->element = (char *)element_name(device_element(device));
  out->determinism = (char *)(device_determinism(device) == DETERMINISM_FAST ? "fast" : "strict");
}

enum status report_ready(struct reporter *reporter, const struct engine *engine,
                         const struct engine_settings *settings) {
  Darkroom__V1__ModelInfo infos[MODELS_MAX];
  Darkroom__V1__ModelInfo *list[MODELS_MAX];
  struct device_info device;
  uint32_t home = 0;
  TRY(device_describe(settings->device, &device));
  for (size_t i = 0; i < settings->model_count; i++) {
    engine_model_info(engine, i, &infos[i]);
    list[i] = &infos[i];
    home += !settings->models[i].on_demand;
  }
  Darkroom__V1__DeviceInfo info;
  write_info(settings->device, &device, &info);
  Darkroom__Pipe__Ready ready = DARKROOM__PIPE__READY__INIT;
  ready.device = (char *)device_name(settings->device);
  ready.n_model = settings->model_count;
  ready.model = list;
  ready.has_slots = ready.has_memory_bytes = ready.has_home = 1;
  ready.home = home;
  ready.slots = (uint32_t)settings->slots;
  ready.memory_bytes = device_memory_used(settings->device);
  ready.device_info = &info;
  Darkroom__Pipe__Report message = DARKROOM__PIPE__REPORT__INIT;
  message.ready = &ready;
  report(reporter, &message);
  return OK;
}

void report_leaving(struct reporter *reporter, const char *reason) {
  Darkroom__Pipe__Leaving leaving = DARKROOM__PIPE__LEAVING__INIT;
  leaving.reason = (char *)reason;
  Darkroom__Pipe__Report message = DARKROOM__PIPE__REPORT__INIT;
  message.leaving = &leaving;
  report(reporter, &message);
}

void report_no_room(struct reporter *reporter, const char *id, uint64_t fence, const char *reason) {
  Darkroom__V1__Error error = DARKROOM__V1__ERROR__INIT;
  error.has_code = 1;
  error.code = DARKROOM__V1__ERROR_CODE__ERROR_EXHAUSTED;
  error.message = (char *)reason;
  on_failed(reporter, id, fence, DARKROOM__V1__FAIL_KIND__FAIL_RETRY, &error);
}

void report_rest(struct reporter *reporter) {
  while (!reporter->lost && pipe_waiting(reporter->pipe)) {
    struct pollfd poller = {.fd = reporter->pipe->fd, .events = POLLOUT};
    poll(&poller, 1, -1);
    reporter->lost = pipe_flush(reporter->pipe) != OK;
  }
}
