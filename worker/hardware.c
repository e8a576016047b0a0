/* hardware.c - the parent's view of its devices. */
#include "worker/hardware.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/hash.h"
#include "monitoring/log.h"
#include "monitoring/metrics.h"
#include "worker/engine/engine_main.h"
#include "worker/worker.h"

enum {
  LIST_MS = 60000, /* drivers that nobody keeps awake take seconds for each GPU */
  SHOW_MS = 1000,
};
#define LABELS_BYTES_MAX 320

/* opening -------------------------------------------------------------------------------------- */

static enum status all_built(const struct options *options) {
  for (size_t i = 0; i < options->devices.count; i++) {
    TRY(engine_built_for(options->devices.item[i]));
  }
  return OK;
}

static void follow(struct hardware *hardware) {
  size_t rows[DEVICES_MAX];
  size_t count = 0;
  for (size_t i = 0; i < hardware->devices.count; i++) {
    if (hardware->devices.row[i].gpu != DEVICES_NO_GPU) {
      rows[count++] = hardware->devices.row[i].gpu;
    }
  }
  gpus_follow(hardware->gpus, rows, count);
}

static enum status resolve(struct hardware *hardware, const struct options *options) {
  char why[FAIL_REASON_MAX] = "";
  const struct options_list *words = &options->devices;
  if (devices_want_gpus(words->item, words->count) && gpus_open(LIST_MS, &hardware->gpus) != OK) {
    snprintf(why, sizeof why, "%s", fail_reason());
    log_warning("gpus_unseen", log_text("reason", why));
  }
  const struct gpu_list *list = hardware->gpus != NULL ? gpus_list(hardware->gpus) : NULL;
  struct gpu_view *view = malloc(sizeof *view);
  if (view == NULL) {
    return fail(EXHAUSTED, "no memory");
  }
  gpu_view_make(list, getenv("CUDA_VISIBLE_DEVICES"), view);
  view->why = why;
  enum status status = devices_resolve(words->item, words->count, view, &hardware->devices);
  free(view);
  return status;
}

enum status hardware_open(struct hardware *hardware, const struct options *options) {
  *hardware = (struct hardware){0};
  TRY(all_built(options));
  TRY(resolve(hardware, options));
  if (hardware->gpus != NULL) {
    follow(hardware);
  }
  for (size_t i = 0; i < hardware->devices.count; i++) {
    cordon_open(&hardware->cordon[i], (int)options->cordon_deaths);
    log_event("device", log_text("device", hardware->devices.row[i].name),
              log_text("opened_as", hardware->devices.row[i].open));
  }
  return OK;
}

void hardware_close(struct hardware *hardware) { gpus_close(&hardware->gpus); }

/* the verdict ---------------------------------------------------------------------------------- */

static void tell_cordon(struct worker *worker, size_t index) {
  const struct cordon *cordon = &worker->hardware.cordon[index];
  log_error("device_cordoned", log_text("device", worker->children.child[index].device),
            log_text("reason", cordon->reason));
  metric_set_labelled(M_DEVICE_CORDONED, worker->children.child[index].device, 1);
  worker->claim_stale = true;
}

/* What a job asks for, without what tells it from another that asks for the same. Without memory
 * to write it down the name must do: then it is a job of its own. */
static uint64_t likeness(const struct held *held) {
  Darkroom__V1__Job job = *held->job;
  job.id = job.tenant = NULL;
  job.has_seed = job.has_images = job.has_priority = job.has_deadline_ms = 0;
  job.n_metadata = 0;
  size_t bytes = darkroom__v1__job__get_packed_size(&job);
  uint8_t *packed = malloc(bytes + 1);
  if (packed == NULL) {
    return hash_on(HASH_START, (const uint8_t *)held->id, strlen(held->id));
  }
  uint64_t value = hash_on(HASH_START, packed, darkroom__v1__job__pack(&job, packed));
  free(packed);
  return value;
}

static void add_once(struct cordon_death *death, uint64_t job) {
  for (size_t i = 0; i < death->count; i++) {
    if (death->job[i] == job) {
      return;
    }
  }
  death->job[death->count++] = job;
}

/* Whoever it may have died of: what was inside, and was not through. */
static void list_suspects(struct worker *worker, size_t index, struct cordon_death *death) {
  const struct held *held = NULL;
  for (size_t at = 0; (held = held_next(&worker->held, &at)) != NULL;) {
    if (held->child == index && held_in_engine(held) && held->received < held->images) {
      add_once(death, likeness(held));
      death->elsewhere = held->alone;
    }
  }
}

/* Of an end from outside, for want of memory or settings, or while its files hang, nobody is to
 * blame. */
bool hardware_engine_ended(struct worker *worker, size_t index, int64_t now_ms) {
  const struct child *child = &worker->children.child[index];
  struct cordon *cordon = &worker->hardware.cordon[index];
  if (child->end == END_FAULT || child->end == END_SILENT) {
    struct cordon_death death = {.at_ms = now_ms};
    list_suspects(worker, index, &death);
    metric_add_labelled(M_DEVICE_ENGINE_DEATHS, child->device, 1);
    bool closes = cordon_died(cordon, &death, child->reason);
    log_warning("engine_died", log_text("device", child->device), log_text("reason", child->reason),
                log_count("jobs", death.count),
                log_number("against_device", cordon_count(cordon, now_ms)),
                log_number("limit", cordon->limit));
    if (closes) {
      child_cordon(&worker->children.child[index]);
      tell_cordon(worker, index);
    }
  }
  return cordon->closed;
}

void hardware_job_finished(struct worker *worker, size_t index, const struct held *held,
                           int64_t now_ms) {
  uint64_t job = likeness(held);
  for (size_t i = 0; i < worker->children.count; i++) {
    if (cordon_finished(&worker->hardware.cordon[i], job, i == index, now_ms)) {
      child_cordon(&worker->children.child[i]);
      tell_cordon(worker, i);
    }
  }
}

void hardware_let_in(struct worker *worker, int64_t now_ms) {
  for (size_t i = 0; i < worker->children.count; i++) {
    struct cordon *cordon = &worker->hardware.cordon[i];
    if (cordon->closed) {
      log_event("device_let_in", log_text("device", worker->children.child[i].device),
                log_text("by", "operator"));
      cordon_open(cordon, cordon->limit);
      child_let_in(&worker->children.child[i], now_ms);
      metric_set_labelled(M_DEVICE_CORDONED, worker->children.child[i].device, 0);
    }
  }
}

/* Xids and figures ----------------------------------------------------------------------------- */

/* An error of a whole GPU concerns its instances, that of an instance only itself. */
static bool concerns(const struct gpu_list *list, size_t told, size_t mine) {
  return told == mine ||
         (!list->gpu[told].instance && list->gpu[told].handle == list->gpu[mine].whole);
}

static void on_xid(struct worker *worker, size_t index, uint32_t number, int64_t now_ms) {
  struct child *child = &worker->children.child[index];
  char labels[LABELS_BYTES_MAX];
  bool fatal = false;
  const char *meaning = xid_meaning(number, &fatal);
  if (number != 0) {
    snprintf(labels, sizeof labels, "%s,%u", child->device, number);
    metric_add_labelled(M_DEVICE_XIDS, labels, 1);
    log_warning("device_xid", log_text("device", child->device), log_count("xid", number),
                log_text("meaning", meaning), log_text("fatal", fatal ? "yes" : "no"));
  }
  if (cordon_xid(&worker->hardware.cordon[index], number, now_ms)) {
    child_cordon(child);
    tell_cordon(worker, index);
  }
}

static void hear_xids(struct worker *worker, int64_t now_ms) {
  struct hardware *hardware = &worker->hardware;
  struct gpu_xid xid;
  while (hardware->gpus != NULL && gpus_take_xid(hardware->gpus, &xid)) {
    for (size_t i = 0; i < hardware->devices.count; i++) {
      size_t mine = hardware->devices.row[i].gpu;
      if (mine != DEVICES_NO_GPU && concerns(gpus_list(hardware->gpus), xid.gpu, mine)) {
        on_xid(worker, i, xid.number, now_ms);
      }
    }
  }
}

static const struct {
  enum metric metric;
  size_t field;
} figures[] = {
    {M_DEVICE_TEMPERATURE, offsetof(struct gpu_reading, temperature_celsius)},
    {M_DEVICE_POWER, offsetof(struct gpu_reading, power_watts)},
    {M_DEVICE_SM_CLOCK, offsetof(struct gpu_reading, sm_hertz)},
    {M_DEVICE_MEMORY_CLOCK, offsetof(struct gpu_reading, memory_hertz)},
    {M_DEVICE_UTILIZATION, offsetof(struct gpu_reading, utilization)},
    {M_DEVICE_MEMORY_USED, offsetof(struct gpu_reading, memory_used_bytes)},
    {M_DEVICE_MEMORY_TOTAL, offsetof(struct gpu_reading, memory_total_bytes)},
    {M_DEVICE_SLOWED, offsetof(struct gpu_reading, slowed)},
};

static void show_reading(const char *device, const struct gpu_reading *reading) {
  for (size_t i = 0; i < sizeof figures / sizeof figures[0]; i++) {
    double value = NAN;
    memcpy(&value, (const char *)reading + figures[i].field, sizeof value);
    if (!isnan(value)) { /* what a GPU does not tell has no series */
      metric_set_labelled(figures[i].metric, device, value);
    }
  }
}

static void show_gpu(struct worker *worker, size_t index, int64_t now_ms) {
  const struct worker_device *device = &worker->hardware.devices.row[index];
  struct gpu_look look;
  gpus_look(worker->hardware.gpus, device->gpu, &look);
  if (!look.read) {
    return;
  }
  metric_set_labelled(M_DEVICE_LOOK_AGE, device->name, (double)(now_ms - look.read_ms) / 1e3);
  if (look.lost) {
    on_xid(worker, index, 0, now_ms);
  } else {
    show_reading(device->name, &look.reading);
  }
}

static void show_info(const struct child *child) {
  const struct child_hardware *hardware = &child->hardware;
  char labels[LABELS_BYTES_MAX];
  if (hardware->uuid[0] != '\0') {
    snprintf(labels, sizeof labels, "%s,%s,%s,%s", child->device, hardware->model, hardware->uuid,
             hardware->driver);
    metric_set_labelled(M_DEVICE_INFO, labels, 1);
  }
}

static void show(struct worker *worker, int64_t now_ms) {
  struct hardware *hardware = &worker->hardware;
  for (size_t i = 0; i < worker->children.count && i < hardware->devices.count; i++) {
    const struct child *child = &worker->children.child[i];
    metric_set_labelled(M_DEVICE_READY, child->device, child->state == CHILD_READY ? 1 : 0);
    if (child->state != CHILD_READY) {
      metric_set_labelled(M_MODELS_RESIDENT, child->device, 0);
    }
    metric_set_labelled(M_DEVICE_CORDONED, child->device, hardware->cordon[i].closed ? 1 : 0);
    metric_add_labelled(M_DEVICE_ENGINE_DEATHS, child->device, 0);
    show_info(child);
    if (hardware->gpus != NULL && child->place->gpu != DEVICES_NO_GPU) {
      show_gpu(worker, i, now_ms);
    }
  }
}

void hardware_tend(struct worker *worker, int64_t now_ms) {
  hear_xids(worker, now_ms);
  if (now_ms - worker->hardware.shown_ms >= SHOW_MS) {
    worker->hardware.shown_ms = now_ms;
    show(worker, now_ms);
  }
}

/* words ---------------------------------------------------------------------------------------- */

void hardware_write_cordons(const struct worker *worker, char words[HARDWARE_WORDS_BYTES_MAX]) {
  size_t length = 0;
  words[0] = '\0';
  for (size_t i = 0; i < worker->children.count && length < HARDWARE_WORDS_BYTES_MAX; i++) {
    if (worker->hardware.cordon[i].closed) {
      length +=
          (size_t)snprintf(words + length, HARDWARE_WORDS_BYTES_MAX - length,
                           "%s%s is cordoned: %s", length > 0 ? "; " : "",
                           worker->children.child[i].device, worker->hardware.cordon[i].reason);
    }
  }
}

const char *hardware_state(const struct worker *worker, size_t index) {
  static const char *const names[] = {
      [CHILD_AWAY] = "away",    [CHILD_LOADING] = "loading", [CHILD_READY] = "ready",
      [CHILD_LEAVING] = "away", [CHILD_REFUSED] = "refused", [CHILD_CORDONED] = "cordoned",
  };
  bool closed = worker->hardware.cordon[index].closed;
  return names[closed ? CHILD_CORDONED : worker->children.child[index].state];
}

const char *hardware_reason(const struct worker *worker, size_t index) {
  const struct child *child = &worker->children.child[index];
  if (worker->hardware.cordon[index].closed) {
    return worker->hardware.cordon[index].reason;
  }
  return child->state == CHILD_READY ? "" : child->reason;
}
