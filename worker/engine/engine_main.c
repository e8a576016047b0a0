/* engine_main.c - the engine child's loop: orders in, a turn, reports out. */
#include "worker/engine/engine_main.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/memory.h"
#include "base/progress.h"
#include "monitoring/log.h"
#include "worker/engine/parcel.h"
#include "worker/engine/pipe.h"
#include "worker/engine/pipe.pb-c.h"
#include "worker/engine/pulse.h"
#include "worker/engine/report.h"

#define MESSAGE_BYTES_MAX ((size_t)UNPACK_BYTES_MAX)
#define RETRY_MS 10 /* how soon an idle engine looks again whether there is memory */

/* An admission that found no room yet: packed, tried again after every turn. */
struct pending {
  struct bytes job; /* empty: a free place */
  uint64_t fence;
  int64_t since_ms;
  char id[JOB_ID_BYTES_MAX + 1];
  char model[JOB_MODEL_BYTES_MAX + 1], refiner[JOB_MODEL_BYTES_MAX + 1];
  struct parcel parcel;
};

struct child {
  struct pipe pipe;
  struct reporter reporter; /* its `lost` also when the parent talks nonsense: then leave */
  struct arena *message;    /* one order or report at a time */
  struct engine *engine;
  struct device *device;
  struct pulse *pulse; /* NULL: nobody watches */
  bool finishing;      /* no more admissions will come */
  bool full;           /* the first that waits for memory or a slot: newcomers wait behind it */
  int pending_count;
  struct pending pending[SAMPLES_MAX];
};

/* ---- orders ---- */

/* Whether it does not wait for a model, or for weights for its adapters. */
static bool is_expected(struct child *child, const struct pending *pending) {
  const struct engine_wish wish = {pending->id, pending->fence, pending->model, pending->refiner,
                                   pending->since_ms};
  return engine_expects(child->engine, &wish);
}

/* Keeps an admission for later, and what it brings: that is empty then. */
static void postpone(struct child *child, const Darkroom__V1__Job *job, uint64_t fence,
                     struct parcel *parcel) {
  if (child->pending_count == SAMPLES_MAX) {
    report_no_room(&child->reporter, job->id, fence,
                   "more jobs than slots were sent to this engine");
    return;
  }
  struct pending *pending = &child->pending[child->pending_count];
  size_t bytes = darkroom__v1__job__get_packed_size(job);
  uint8_t *room = NULL;
  bytes_open(&pending->job, FRAME_BYTES_MAX);
  if (bytes_reserve(&pending->job, bytes, &room) != OK) {
    report_no_room(&child->reporter, job->id, fence, fail_reason());
    return;
  }
  pending->job.length = darkroom__v1__job__pack(job, room);
  pending->fence = fence;
  pending->since_ms = clock_ms();
  snprintf(pending->id, sizeof pending->id, "%s", job->id != NULL ? job->id : "");
  snprintf(pending->model, sizeof pending->model, "%s", job->model != NULL ? job->model : "");
  snprintf(pending->refiner, sizeof pending->refiner, "%s",
           job->refiner != NULL && job->refiner->model != NULL ? job->refiner->model : "");
  parcel_move(parcel, &pending->parcel);
  child->pending_count++;
  child->full = child->full || is_expected(child, pending);
}

static void forget_pending(struct child *child, int index) {
  bytes_close(&child->pending[index].job);
  parcel_close(&child->pending[index].parcel);
  child->pending_count--;
  for (int i = index; i < child->pending_count; i++) {
    child->pending[i].job = child->pending[i + 1].job;
    struct pending *at = &child->pending[i], *next = &child->pending[i + 1];
    at->fence = next->fence;
    at->since_ms = next->since_ms;
    memcpy(at->id, next->id, sizeof at->id);
    memcpy(at->model, next->model, sizeof at->model);
    memcpy(at->refiner, next->refiner, sizeof at->refiner);
    parcel_move(&next->parcel, &at->parcel);
  }
}

/* A job that the engine refuses has been reported by it; one that it has no room for waits, behind
 * those that wait. */
static enum status admit(struct child *child, const Darkroom__V1__Job *job, uint64_t fence,
                         const struct parcel *parcel) {
  enum status status = engine_admit(child->engine, job, fence, &parcel->list);
  if (status == UNAVAILABLE) {
    report_no_room(&child->reporter, job->id, fence, fail_reason());
  }
  return status == EXHAUSTED || status == BROKEN ? status : OK;
}

static Darkroom__V1__Job *unpack_pending(struct child *child, const struct pending *pending) {
  ProtobufCMessage *message = NULL;
  enum status status = pipe_unpack(&darkroom__v1__job__descriptor, pending->job.data,
                                   pending->job.length, child->message, &message);
  return status == OK ? (Darkroom__V1__Job *)message : NULL;
}

static enum status retry(struct child *child, const struct pending *pending) {
  arena_drop(child->message);
  const Darkroom__V1__Job *job = unpack_pending(child, pending);
  return job != NULL ? admit(child, job, pending->fence, &pending->parcel) : OK;
}

/* Those that wait for a model or for adapters are overtaken; who waits for memory is not: a large
 * one would wait for ever while small ones come. */
static enum status retry_pending(struct child *child) {
  child->full = false;
  for (int i = 0; i < child->pending_count && !child->full;) {
    if (!is_expected(child, &child->pending[i])) {
      i++;
      continue;
    }
    enum status status = retry(child, &child->pending[i]);
    if (status == BROKEN) {
      return BROKEN;
    }
    child->full = status == EXHAUSTED;
    if (status != EXHAUSTED) {
      forget_pending(child, i);
    }
  }
  return OK;
}

/* After one has left: what nobody waits for any more need not come. */
static void ask_anew(struct child *child) {
  engine_ask_anew(child->engine);
  for (int i = 0; i < child->pending_count; i++) {
    (void)is_expected(child, &child->pending[i]);
  }
}

static void stop(struct child *child, const char *id, uint64_t fence) {
  engine_stop(child->engine, id, fence);
  for (int i = 0; i < child->pending_count; i++) {
    if (child->pending[i].fence == fence && strcmp(child->pending[i].id, id) == 0) {
      forget_pending(child, i);
      ask_anew(child);
      return;
    }
  }
}

static enum status take_in(struct child *child, const Darkroom__Pipe__Admit *order) {
  struct parcel parcel = {0};
  enum status opened = parcel_open(&child->pipe, order, &parcel);
  if (opened == EXHAUSTED) {
    report_no_room(&child->reporter, order->job->id, order->fence, fail_reason());
    return OK;
  }
  TRY(opened);
  enum status status = child->full ? EXHAUSTED : admit(child, order->job, order->fence, &parcel);
  if (status == EXHAUSTED) {
    postpone(child, order->job, order->fence, &parcel);
  }
  parcel_close(&parcel);
  return status == BROKEN ? BROKEN : OK;
}

static enum status obey(struct child *child, const Darkroom__Pipe__Order *order) {
  child->finishing = child->finishing || (order->has_finish && order->finish);
  if (order->admit != NULL && order->admit->job != NULL && order->admit->job->id != NULL) {
    enum status status = take_in(child, order->admit);
    if (status == BAD_INPUT) {
      child->reporter.lost = true; /* the parent talks nonsense */
    }
    if (status == BROKEN) {
      return BROKEN;
    }
  }
  if (order->stop != NULL && order->stop->id != NULL) {
    char id[JOB_ID_BYTES_MAX + 1] = "";
    strncpy(id, order->stop->id, sizeof id - 1); /* the order's memory is reused below */
    stop(child, id, order->stop->fence);
  }
  return OK;
}

/* Obeys all orders that have come. Nonsense on the pipe means that the parent is not what we think:
 * leave. */
static enum status take_orders(struct child *child) {
  for (;;) {
    arena_drop(child->message);
    ProtobufCMessage *message = NULL;
    child->reporter.lost =
        child->reporter.lost || pipe_receive(&child->pipe) != OK ||
        pipe_take(&child->pipe, &darkroom__pipe__order__descriptor, child->message, &message) != OK;
    if (child->reporter.lost || message == NULL) {
      child->reporter.lost = child->reporter.lost || child->pipe.ended;
      return OK;
    }
    TRY(obey(child, (const Darkroom__Pipe__Order *)message));
  }
}

/* ---- the loop ---- */

static bool done(const struct child *child) {
  return child->reporter.lost ||
         (child->finishing && child->pending_count == 0 && !engine_busy(child->engine));
}

/* Waits until the parent wants something; only while there is nothing to do. */
static void wait_for_orders(struct child *child) {
  struct pollfd poller = {.fd = child->pipe.fd, .events = POLLIN};
  poller.events |= pipe_waiting(&child->pipe) ? POLLOUT : 0;
  poll(&poller, 1, child->pending_count > 0 ? RETRY_MS : -1);
}

static enum status loop(struct child *child) {
  for (;;) {
    TRY(retry_pending(child));
    TRY(take_orders(child));
    if (done(child)) {
      return OK;
    }
    if (engine_busy(child->engine)) {
      TRY(engine_turn(child->engine));
    } else {
      wait_for_orders(child);
    }
    child->reporter.lost = child->reporter.lost || pipe_flush(&child->pipe) != OK;
  }
}

/* ---- the start ---- */

/* What is left for the rest: the parent with pictures on their way, and our own code, tables and
 * pictures. A control group is ours alone, on the machine others want something too. */
#define REST_BYTES ((uint64_t)160 * 1024 * 1024)
#define MACHINE_PART_OF_OTHERS 8
/* Where neither is known. */
#define MEMORY_UNKNOWN_BYTES ((uint64_t)4 * 1024 * 1024 * 1024)

/* What a GPU's engine takes of the host: the driver's and the libraries' own (some 500 MiB, mostly
 * cuDNN), pinned memory, and the piece of a weight file that is on its way. */
#define ON_GPU_BYTES ((uint64_t)1024 * 1024 * 1024)

/* Bytes of the host for all that this engine takes, weights and all. */
static size_t host_share(const struct engine_main_settings *settings) {
  struct memory there;
  memory_look("", &there);
  uint64_t machine = there.machine - there.machine / MACHINE_PART_OF_OTHERS;
  uint64_t least = there.group < machine ? there.group : machine;
  if (there.machine == MEMORY_UNLIMITED && there.group == MEMORY_UNLIMITED) {
    least = MEMORY_UNKNOWN_BYTES;
  }
  uint64_t rest = REST_BYTES + settings->on_gpus * ON_GPU_BYTES;
  uint64_t sharing = settings->on_host > 1 ? settings->on_host : 1;
  uint64_t total = (least > rest ? least - rest : 0) / sharing;
  log_event("engine_memory", log_count("bytes", total),
            log_text("limited_by", there.group < machine ? there.group_path : "machine"));
  return total;
}

/* The device holds the engine to its share: should a sum be wrong somewhere, a job fails by name
 * and nobody is killed. One byte where there is nothing, for 0 means no limit. One with memory of
 * its own takes what is free of it and says how much that is. */
static enum status open_device(struct child *child, const struct engine_main_settings *settings,
                               size_t *total) {
  struct device_settings device = {.threads = settings->threads,
                                   .force_f32 = settings->force_f32,
                                   .determinism = settings->determinism};
  bool share_host = settings->memory_max == 0 && !settings->own_memory;
  size_t bytes = share_host ? host_share(settings) : 0;
  device.memory_max = share_host && bytes == 0 ? 1 : bytes;
  enum status status = device_open(settings->device, &device, &child->device);
  if (status == UNAVAILABLE) { /* this machine has it not: starting again will not help */
    char reason[FAIL_REASON_MAX];
    snprintf(reason, sizeof reason, "%s", fail_reason());
    return fail(BAD_INPUT, "%s", reason);
  }
  TRY(status);
  if (settings->own_memory && settings->memory_max == 0) {
    bytes = device_memory_total(child->device);
    log_event("engine_memory", log_count("bytes", bytes), log_text("limited_by", "device"));
  }
  *total = bytes;
  return OK;
}

static enum status start(struct child *child, int fd, const struct engine_main_settings *settings) {
  TRY(pipe_open(&child->pipe, fd));
  child->pipe.accepts = true;
  if (settings->pulse > 0) {
    TRY(pulse_attach(settings->pulse, &child->pulse));
    progress_share(&child->pulse->count); /* the page stays as long as the process */
  }
  TRY(arena_open(NULL, MESSAGE_BYTES_MAX, &child->message));
  size_t total = 0;
  TRY(open_device(child, settings, &total));
  struct engine_settings engine = {
      .device = child->device,
      .pulse = child->pulse,
      .models = settings->models,
      .model_count = settings->model_count,
      .extras = settings->extras,
      .extra_count = settings->extra_count,
      .slots = settings->slots != 0 ? settings->slots : ENGINE_SLOTS_STANDARD,
      .batch_rows = settings->batch_rows != 0 ? settings->batch_rows : ENGINE_BATCH_ROWS_STANDARD,
      .max_side = settings->max_side != 0 ? settings->max_side : JOB_SIDE_PIXELS_MAX,
      .memory_max = settings->memory_max,
      .memory_total = total,
      .answers = settings->answers,
  };
  const struct engine_listener listener = report_listener(&child->reporter);
  TRY(engine_open(&engine, &listener, &child->engine));
  return report_ready(&child->reporter, child->engine, &engine);
}

static void finish(struct child *child) {
  while (child->pending_count > 0) {
    forget_pending(child, 0);
  }
  engine_close(&child->engine);
  device_close(&child->device);
  arena_close(&child->message);
  pipe_close(&child->pipe);
}

static enum exit_code exit_code(enum status status) {
  switch (status) {
    case OK:
      return EXIT_CODE_OK;
    case BAD_INPUT:
      return EXIT_CODE_REFUSED;
    case BROKEN:
      return EXIT_CODE_INTERNAL;
    case UNAVAILABLE:
    case EXHAUSTED:
      break;
  }
  return EXIT_CODE_UNAVAILABLE;
}

enum status engine_built_for(const char *device) { return device_built(device); }

enum exit_code engine_main(int fd, const struct engine_main_settings *settings) {
  static struct child child; /* large; there is one to a process */
  child = (struct child){.pipe.fd = -1, .reporter.pipe = &child.pipe};
  signal(SIGPIPE, SIG_IGN);
  signal(SIGHUP, SIG_IGN); /* a lost terminal is the parent's affair */
  enum status status = start(&child, fd, settings);
  status = status == OK ? loop(&child) : status;
  if (status != OK) {
    log_error("engine_failed", log_text("device", settings->device),
              log_text("status", status_name(status)), log_text("reason", fail_reason()));
    report_leaving(&child.reporter, fail_reason());
  }
  report_rest(&child.reporter);
  if (status != BROKEN) { /* then the device's own calls may hang */
    finish(&child);
  }
  return exit_code(status);
}
