/* show.c - tables and lines; every text that came from elsewhere is made safe for a terminal. */
#include "cli/show.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/bytes.h"
#include "base/clock.h"
#include "proto/job.h"
#include "proto/json.h"

#define JSON_BYTES_MAX ((size_t)16 * 1024 * 1024)
const char *show_safe(const char *text, char *copy) {
  size_t length = 0;
  for (const char *at = text != NULL ? text : "-"; *at != '\0' && length < SHOW_SAFE_BYTES_MAX - 1;
       at++) {
    unsigned char c = (unsigned char)*at;
    copy[length++] = c < 0x20 || c == 0x7f ? ' ' : *at;
  }
  copy[length] = '\0';
  return copy;
}

static void line_text(const char *name, const char *value) {
  char copy[SHOW_SAFE_BYTES_MAX];
  if (value != NULL && value[0] != '\0') {
    printf("%-12s %s\n", name, show_safe(value, copy));
  }
}

static void line_number(const char *name, uint64_t value) {
  printf("%-12s %" PRIu64 "\n", name, value);
}

static void line_time(const char *name, protobuf_c_boolean given, uint64_t wall_ms) {
  if (given) {
    char text[CLOCK_TEXT_MAX];
    clock_text((int64_t)wall_ms, text);
    printf("%-12s %s\n", name, text);
  }
}

static void show_job(const Darkroom__V1__Job *job) {
  line_text("prompt", job->prompt);
  line_text("negative", job->negative_prompt);
  line_text("model", job->model);
  printf("%-12s %ux%u\n", "size", job->width, job->height);
  line_number("steps", job->steps);
  printf("%-12s %g\n", "guidance", job->guidance_scale);
  line_number("seed", job->seed);
  line_number("images", job->images);
  line_text("sampler", job_sampler_name(job->sampler, job->noise_schedule));
  line_text("priority", job_priority_name(job->priority));
}

static void show_error(const Darkroom__V1__Error *error) {
  char copy[SHOW_SAFE_BYTES_MAX];
  printf("%-12s %s (%s)\n", "error", show_safe(error->message, copy),
         refusal_code_name(error->has_code ? error->code : 0));
}

void show_status(const Darkroom__V1__JobStatus *status) {
  line_text("id", status->id);
  line_text("state", job_state_name(status->state));
  if (status->has_position) {
    line_number("ahead", status->position);
  }
  if (status->has_steps) {
    printf("%-12s %u/%u\n", "step", status->step, status->steps);
  }
  line_text("worker", status->worker);
  line_time("submitted", status->has_submitted_ms, status->submitted_ms);
  line_time("finished", status->has_finished_ms, status->finished_ms);
  if (status->fails + status->crashes + status->losses + status->handoffs > 0) {
    printf("%-12s %u failed, %u crashed alone, %u lost, %u handed back\n", "attempts",
           status->fails, status->crashes, status->losses, status->handoffs);
  }
  if (status->error != NULL) {
    show_error(status->error);
  }
  if (status->job != NULL) {
    show_job(status->job);
  }
  for (size_t i = 0; i < status->n_images; i++) {
    line_text("image", status->images[i]->url);
  }
  for (size_t i = 0; i < status->n_warning; i++) {
    line_text("warning", status->warning[i]);
  }
}

void show_list(const Darkroom__V1__JobList *list) {
  if (list->n_job > 0) {
    printf("%-28s %-12s %-12s %-24s %s\n", "ID", "STATE", "STEP", "SUBMITTED", "WORKER");
  }
  for (size_t i = 0; i < list->n_job; i++) {
    const Darkroom__V1__JobStatus *status = list->job[i];
    char id[SHOW_SAFE_BYTES_MAX];
    char worker[SHOW_SAFE_BYTES_MAX];
    char step[32] = "-";
    char time[CLOCK_TEXT_MAX] = "-";
    if (status->has_steps) {
      snprintf(step, sizeof step, "%u/%u", status->step, status->steps);
    }
    if (status->has_submitted_ms) {
      clock_text((int64_t)status->submitted_ms, time);
    }
    printf("%-28s %-12s %-12s %-24s %s\n", show_safe(status->id, id), job_state_name(status->state),
           step, time, show_safe(status->worker, worker));
  }
}

void show_explanation(const Darkroom__V1__Explanation *explanation) {
  char copy[SHOW_SAFE_BYTES_MAX];
  printf("%s is %s\n", show_safe(explanation->id, copy), job_state_name(explanation->state));
  for (size_t i = 0; i < explanation->n_reason; i++) {
    printf("  %s\n", show_safe(explanation->reason[i], copy));
  }
}

static void show_extras(const Darkroom__V1__ModelList *list) {
  static const char *const kinds[] = {
      [DARKROOM__V1__EXTRA_KIND__EXTRA_CONTROL] = "control",
      [DARKROOM__V1__EXTRA_KIND__EXTRA_ADAPTER] = "lora",
      [DARKROOM__V1__EXTRA_KIND__EXTRA_EMBEDDING] = "embedding",
      [DARKROOM__V1__EXTRA_KIND__EXTRA_TINY] = "tiny",
  };
  if (list->n_extra > 0) {
    printf("\n%-32s %-10s %s\n", "BESIDE MODELS", "KIND", "WORKERS");
  }
  for (size_t i = 0; i < list->n_extra; i++) {
    const Darkroom__V1__ExtraInfo *extra = list->extra[i];
    char id[SHOW_SAFE_BYTES_MAX];
    size_t kind = (size_t)extra->kind;
    bool known = kind < sizeof kinds / sizeof kinds[0] && kinds[kind] != NULL;
    printf("%-32s %-10s %u\n", show_safe(extra->id, id), known ? kinds[kind] : "unknown",
           extra->workers);
  }
}

void show_models(const Darkroom__V1__ModelList *list) {
  if (list->n_model > 0) {
    printf("%-32s %-8s %-10s %-10s %-8s %s\n", "ID", "FAMILY", "SIDE", "MAX SIDE", "WORKERS", "");
  }
  for (size_t i = 0; i < list->n_model; i++) {
    const Darkroom__V1__ModelInfo *model = list->model[i];
    char id[SHOW_SAFE_BYTES_MAX];
    char family[SHOW_SAFE_BYTES_MAX];
    bool standard = list->default_model != NULL && model->id != NULL &&
                    strcmp(model->id, list->default_model) == 0;
    printf("%-32s %-8s %-10u %-10u %-8u %s\n", show_safe(model->id, id),
           show_safe(model->family, family), model->default_side, model->max_side, model->workers,
           standard ? "(default)" : "");
  }
  show_extras(list);
}

/* "80 GB", as it is sold: of 1000 each. */
static void show_device(const Darkroom__V1__DeviceInfo *device) {
  char copy[SHOW_SAFE_BYTES_MAX];
  printf("  %s", show_safe(device->name, copy));
  printf(" %s", show_safe(device->state, copy));
  const char *const facts[] = {device->model, device->uuid, device->driver, device->element,
                               device->determinism};
  static const char *const heads[] = {"", "", "driver ", "", ""};
  for (size_t i = 0; i < sizeof facts / sizeof facts[0]; i++) {
    if (facts[i] != NULL && facts[i][0] != '\0') {
      printf(", %s%s", heads[i], show_safe(facts[i], copy));
    }
  }
  if (device->memory_total > 0) {
    printf(", %.1f GB", (double)device->memory_total / 1e9);
  }
  if (device->reason != NULL && device->reason[0] != '\0') {
    printf(": %s", show_safe(device->reason, copy));
  }
  printf("\n");
}

static void show_worker(const Darkroom__V1__WorkerInfo *worker) {
  char copy[SHOW_SAFE_BYTES_MAX];
  printf("%-28s ", show_safe(worker->id, copy));
  printf("%-10s %-8u %-8u ", show_safe(worker->state, copy), worker->running, worker->credits);
  for (size_t i = 0; i < worker->n_device; i++) {
    printf("%s%s", i == 0 ? "" : ",", show_safe(worker->device[i], copy));
  }
  for (size_t i = 0; i < worker->n_model; i++) {
    printf("%s%s", i == 0 ? " " : ",", show_safe(worker->model[i], copy));
  }
  printf("\n");
  if (worker->trouble != NULL && worker->trouble[0] != '\0') {
    printf("  %s\n", show_safe(worker->trouble, copy));
  }
  for (size_t i = 0; i < worker->n_device_info; i++) {
    show_device(worker->device_info[i]);
  }
}

void show_fleet(const Darkroom__V1__FleetStatus *fleet) {
  line_text("broker", fleet->version);
  if (fleet->trouble != NULL) {
    line_text("trouble", fleet->trouble);
  }
  line_number("queued", fleet->queued);
  line_number("running", fleet->running);
  line_number("delayed", fleet->delayed);
  line_number("succeeded", fleet->succeeded);
  line_number("failed", fleet->failed);
  line_number("cancelled", fleet->cancelled);
  printf("%-12s %.1f s\n", "oldest wait", (double)fleet->oldest_wait_ms / 1000);
  if (fleet->n_worker > 0) {
    printf("\n%-28s %-10s %-8s %-8s %s\n", "WORKER", "STATE", "RUNNING", "CREDITS",
           "DEVICES MODELS");
  }
  for (size_t i = 0; i < fleet->n_worker; i++) {
    show_worker(fleet->worker[i]);
  }
  if (fleet->workers > fleet->n_worker) {
    printf("and %zu more\n", (size_t)fleet->workers - fleet->n_worker);
  }
}

void show_cancelled(const Darkroom__V1__Cancelled *cancelled) {
  static const char *const outcomes[] = {
      [DARKROOM__V1__CANCEL_OUTCOME__CANCEL_REMOVED] = "it was waiting and is cancelled",
      [DARKROOM__V1__CANCEL_OUTCOME__CANCEL_SIGNALLED] = "it runs and stops at the next step",
      [DARKROOM__V1__CANCEL_OUTCOME__CANCEL_ALREADY] = "it had ended before",
  };
  size_t index = (size_t)cancelled->outcome;
  bool known = index > 0 && index < sizeof outcomes / sizeof outcomes[0];
  char copy[SHOW_SAFE_BYTES_MAX];
  printf("%s: %s (%s)\n", show_safe(cancelled->id, copy), known ? outcomes[index] : "cancelled",
         job_state_name(cancelled->state));
}

enum exit_code show_json(const ProtobufCMessage *message) {
  struct bytes text;
  bytes_open(&text, JSON_BYTES_MAX);
  enum exit_code code = complain(message_to_json(message, &text));
  if (code == EXIT_CODE_OK) {
    printf("%s\n", bytes_text(&text));
  }
  bytes_close(&text);
  return code;
}
