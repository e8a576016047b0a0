/* reports.c - what the engines say: one row per kind of report; and what their silence says. */
#include "worker/reports.h"

#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "monitoring/log.h"
#include "monitoring/metrics.h"
#include "worker/engine/pipe.pb-c.h"
#include "worker/outcome.h"
#include "worker/pictures.h"
#include "worker/placement.h"
#include "worker/previews.h"

#define US_PER_SECOND 1e6
#define MS_PER_SECOND 1e3

/* the reports ---------------------------------------------------------------------------------- */

static void copy(char *to, size_t room, const char *text) {
  snprintf(to, room, "%s", text != NULL ? text : "");
}

/* They become labels and lines: printable, and no comma. */
static void copy_plain(char *to, size_t room, const char *text) {
  copy(to, room, text);
  for (char *at = to; *at != '\0'; at++) {
    *at = *at < ' ' || *at > '~' || *at == ',' || *at == '"' || *at == '\\' ? ' ' : *at;
  }
}

static void keep_hardware(struct child_hardware *hardware, const Darkroom__V1__DeviceInfo *info) {
  *hardware =
      (struct child_hardware){.capability = info->capability, .memory_total = info->memory_total};
  copy_plain(hardware->model, sizeof hardware->model, info->model);
  copy_plain(hardware->uuid, sizeof hardware->uuid, info->uuid);
  copy_plain(hardware->driver, sizeof hardware->driver, info->driver);
  copy_plain(hardware->runtime, sizeof hardware->runtime, info->runtime);
  copy_plain(hardware->element, sizeof hardware->element, info->element);
  copy_plain(hardware->determinism, sizeof hardware->determinism, info->determinism);
}

static void on_ready(struct worker *worker, size_t index, const Darkroom__Pipe__Report *report) {
  struct child *child = &worker->children.child[index];
  const Darkroom__Pipe__Ready *ready = report->ready;
  if (child->cordoned) {
    return; /* it is being ended */
  }
  child->state = CHILD_READY;
  child->loaded = true;
  if (ready->device_info != NULL) {
    keep_hardware(&child->hardware, ready->device_info);
  }
  child->slots = ready->slots;
  child->model_count = 0;
  for (size_t i = 0; i < ready->n_model && i < MODELS_MAX; i++) {
    struct child_model *model = &child->model[child->model_count++];
    copy(model->id, sizeof model->id, ready->model[i]->id);
    copy(model->sha256, sizeof model->sha256, ready->model[i]->sha256);
    copy(model->family, sizeof model->family, ready->model[i]->family);
    model->default_side = ready->model[i]->default_side;
    model->max_side = ready->model[i]->max_side;
  }
  metric_set_labelled(M_MODELS_RESIDENT, child->device, ready->home);
  log_event("engine_ready", log_text("device", child->device), log_count("slots", ready->slots),
            log_count("models", child->model_count), log_text("model", child->hardware.model),
            log_text("element", child->hardware.element),
            log_text("determinism", child->hardware.determinism),
            log_number("ms", clock_ms() - child->started_ms));
}

static void on_leaving(struct worker *worker, size_t index, const Darkroom__Pipe__Report *report) {
  struct child *child = &worker->children.child[index];
  if (report->leaving->reason != NULL) {
    child_says_why(child, report->leaving->reason);
    child->said_why = true;
  }
}

/* The held job a report is about; NULL when it has been stopped or given up in the meantime. */
static struct held *about(struct worker *worker, size_t index, const char *id, uint64_t fence) {
  struct held *held = held_find(&worker->held, id, fence);
  if (held != NULL && held_in_engine(held) && held->child == index) {
    return held;
  }
  log_debug("report_ignored", log_text("job", id != NULL ? id : ""), log_count("fence", fence));
  return NULL;
}

static void on_started(struct worker *worker, size_t index, const Darkroom__Pipe__Report *report) {
  struct held *held = about(worker, index, report->started->id, report->started->fence);
  if (held == NULL) {
    return;
  }
  held->state = HELD_RUNNING;
  offer_open(&held->offer, WIRE_START);
  log_event("job_started", log_text("job", held->id), log_count("fence", held->fence),
            log_text("device", worker->children.child[index].device));
}

static void on_step(struct worker *worker, size_t index, const Darkroom__Pipe__Report *report) {
  const Darkroom__Pipe__Step *step = report->step;
  struct held *held = about(worker, index, step->id, step->fence);
  if (held != NULL) {
    held->step = step->step;
    held->steps = step->steps;
    held->news = true;
  }
}

static void on_pixels(struct worker *worker, size_t index, const Darkroom__Pipe__Report *report) {
  const Darkroom__Pipe__Pixels *pixels = report->pixels;
  struct held *held = about(worker, index, pixels->id, pixels->fence);
  if (held == NULL) {
    return;
  }
  metric_add(M_IMAGES_GENERATED, 1);
  struct bytes rgb = {.data = pixels->rgb.data, .length = pixels->rgb.len};
  picture_received(worker, held, pixels->index, pixels->width, pixels->height, &rgb);
}

static void observe(const Darkroom__V1__Timings *timings) {
  metric_observe_labelled(M_STAGE_DURATION, "text_encode",
                          (double)timings->encode_us / US_PER_SECOND);
  metric_observe_labelled(M_STAGE_DURATION, "denoise", (double)timings->denoise_us / US_PER_SECOND);
  metric_observe_labelled(M_STAGE_DURATION, "vae", (double)timings->decode_us / US_PER_SECOND);
}

static void engine_is_through(struct worker *worker, struct held *held) {
  held->finished = true;
  held->state = HELD_STORING;
  picture_seal(worker, held);
  job_complete_if_whole(held);
}

static void on_finished(struct worker *worker, size_t index, const Darkroom__Pipe__Report *report) {
  const Darkroom__Pipe__Finished *finished = report->finished;
  struct held *held = about(worker, index, finished->id, finished->fence);
  if (held == NULL) {
    return;
  }
  if (finished->timings != NULL) {
    const Darkroom__V1__Timings *from = finished->timings;
    held->timings.has_encode_us = held->timings.has_denoise_us = held->timings.has_denoise_steps =
        held->timings.has_decode_us = 1;
    held->timings.encode_us = from->encode_us;
    held->timings.denoise_us = from->denoise_us;
    held->timings.denoise_steps = from->denoise_steps;
    held->timings.decode_us = from->decode_us;
    observe(from);
  }
  if (held->received < held->images) {
    job_fail(worker, held, DARKROOM__V1__FAIL_KIND__FAIL_RETRY,
             DARKROOM__V1__ERROR_CODE__ERROR_ENGINE, "the engine finished without all images");
    return;
  }
  hardware_job_finished(worker, index, held, clock_ms());
  engine_is_through(worker, held);
}

static void on_failed(struct worker *worker, size_t index, const Darkroom__Pipe__Report *report) {
  const Darkroom__Pipe__Failed *failed = report->failed;
  struct held *held = about(worker, index, failed->id, failed->fence);
  if (held == NULL) {
    return;
  }
  const Darkroom__V1__Error *error = failed->error;
  if (error != NULL && error->field != NULL) {
    copy(held->error_field, sizeof held->error_field, error->field);
  }
  job_fail(
      worker, held, failed->kind,
      error != NULL ? error->code : DARKROOM__V1__ERROR_CODE__ERROR_ENGINE,
      error != NULL && error->message != NULL ? error->message : "the engine could not compute it");
}

static void on_turn(struct worker *worker, size_t index, const Darkroom__Pipe__Report *report) {
  const Darkroom__Pipe__Turn *turn = report->turn;
  child_note_turn(&worker->children.child[index], turn->microseconds);
  metric_observe(M_STEP_DURATION, (double)turn->microseconds / US_PER_SECOND);
  metric_observe(M_BATCH_SIZE, turn->rows);
  metric_add(M_DENOISE_STEPS, turn->samples);
}

/* Each once: an engine says it of every image of a job. */
static void on_warning(struct worker *worker, size_t index, const Darkroom__Pipe__Report *report) {
  const Darkroom__Pipe__Warning *warning = report->warning;
  struct held *held = about(worker, index, warning->id, warning->fence);
  if (held != NULL && warning->text != NULL) {
    held_warn(held, warning->text);
  }
}

static void on_preview(struct worker *worker, size_t index, const Darkroom__Pipe__Report *report) {
  const Darkroom__Pipe__Pixels *pixels = report->preview;
  struct held *held = about(worker, index, pixels->id, pixels->fence);
  if (held != NULL && pixels->index < held->images) {
    preview_received(worker, held, pixels);
  }
}

static void on_move(struct worker *worker, size_t index, const Darkroom__Pipe__Report *report) {
  const Darkroom__Pipe__Move *move = report->move;
  const char *outcome = move->failed ? "failed" : "loaded";
  if (move->came || move->failed) {
    metric_add_labelled(M_MODEL_LOADS, outcome, 1);
  } else {
    metric_add(M_MODEL_EVICTIONS, 1);
  }
  if (move->came) {
    metric_observe(M_MODEL_LOAD_DURATION, (double)move->milliseconds / MS_PER_SECOND);
  }
  metric_set_labelled(M_MODELS_RESIDENT, worker->children.child[index].device, move->home);
}

/* A report has one of its fields set; where that field lies says which row. */
static const struct {
  size_t field;
  void (*act)(struct worker *worker, size_t index, const Darkroom__Pipe__Report *report);
} rows[] = {
    {offsetof(Darkroom__Pipe__Report, ready), on_ready},
    {offsetof(Darkroom__Pipe__Report, started), on_started},
    {offsetof(Darkroom__Pipe__Report, step), on_step},
    {offsetof(Darkroom__Pipe__Report, pixels), on_pixels},
    {offsetof(Darkroom__Pipe__Report, finished), on_finished},
    {offsetof(Darkroom__Pipe__Report, failed), on_failed},
    {offsetof(Darkroom__Pipe__Report, turn), on_turn},
    {offsetof(Darkroom__Pipe__Report, leaving), on_leaving},
    {offsetof(Darkroom__Pipe__Report, warning), on_warning},
    {offsetof(Darkroom__Pipe__Report, preview), on_preview},
    {offsetof(Darkroom__Pipe__Report, move), on_move},
};

static void act(struct worker *worker, size_t index, const ProtobufCMessage *message) {
  child_heard(&worker->children.child[index], clock_ms());
  for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
    const void *field = NULL;
    memcpy(&field, (const char *)message + rows[i].field, sizeof field);
    if (field != NULL) { /* acting may use the arena that the message lies in */
      rows[i].act(worker, index, (const Darkroom__Pipe__Report *)message);
      return;
    }
  }
}

static enum status take_all(struct worker *worker, size_t index) {
  struct child *child = &worker->children.child[index];
  TRY(pipe_receive(&child->pipe));
  for (;;) {
    ProtobufCMessage *message = NULL;
    arena_drop(worker->scratch);
    TRY(pipe_take(&child->pipe, &darkroom__pipe__report__descriptor, worker->scratch, &message));
    if (message == NULL) {
      return OK;
    }
    act(worker, index, message);
  }
}

void reports_take_all(struct worker *worker, size_t index) {
  struct child *child = &worker->children.child[index];
  enum status status = take_all(worker, index);
  if (status != OK) {
    log_error("engine_unreadable", log_text("device", child->device),
              log_text("reason", fail_reason()));
    child_kill(child);
  }
  if (status != OK || child->pipe.ended) {
    child_lost(child, clock_ms());
  }
}

/* silence and death ---------------------------------------------------------------------------- */

/* A job whose pictures have all arrived goes on. Of the others nobody knows which was the cause, so
 * the broker is told what happened and judges: a death counts only against a job that it gave out
 * alone, and an end by the watchdog against none. What had not entered yet goes back whole, and so
 * does all that a cordoned device held. */
void reports_child_ended(void *context, size_t index) {
  struct worker *worker = context;
  bool killed = worker->children.child[index].killed;
  bool cordoned = hardware_engine_ended(worker, index, clock_ms());
  struct held *held = NULL;
  for (size_t at = 0; (held = held_next(&worker->held, &at)) != NULL;) {
    bool waiting = held->state == HELD_WAITING;
    if (held->child != index || !(waiting || held_in_engine(held))) {
      continue;
    }
    if (held->received == held->images && !waiting) {
      engine_is_through(worker, held);
    } else if (waiting || cordoned) {
      job_release(worker, held);
    } else {
      job_fail(worker, held,
               killed ? DARKROOM__V1__FAIL_KIND__FAIL_LOST : DARKROOM__V1__FAIL_KIND__FAIL_CRASH,
               DARKROOM__V1__ERROR_CODE__ERROR_WORKER_LOST,
               killed ? "the engine fell silent while it ran, and was ended"
                      : "the engine process died while it ran");
    }
  }
  worker->claim_stale = true;
}

void watchdog(struct worker *worker, int64_t now_ms) {
  for (size_t i = 0; i < worker->children.count; i++) {
    struct child *child = &worker->children.child[i];
    if (child->state != CHILD_READY || child->killed) {
      continue;
    }
    int64_t patience_ms = child_patience_ms(&worker->children, child);
    if (!placement_has_jobs(worker, i)) {
      child_heard(child, now_ms); /* with nothing to do, silence is in order */
    } else if (child->silent_ms > patience_ms) {
      log_error("engine_hangs", log_text("device", child->device),
                log_number("silent_ms", child->silent_ms), log_number("patience_ms", patience_ms));
      child_kill(child);
    }
  }
}
