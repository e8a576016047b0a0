/* devices.c - names taken apart, then looked up in the list of GPUs. */
#include "worker/devices.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CUDA "cuda:"
_Static_assert(sizeof CUDA - 1 + GPU_UUID_BYTES_MAX <= DEVICE_WORD_BYTES_MAX,
               "a name by UUID fits");
enum { CUDA_BYTES = sizeof CUDA - 1, UUID_HEAD_BYTES = 4, UUID_BYTES = 40, NUMBER_BASE = 10 };

/* what may be written -------------------------------------------------------------------------- */

static bool on_host(const char *text) {
  return strcmp(text, "cpu") == 0 || strcmp(text, "ref") == 0;
}

static bool is_cuda(const char *text) { return strncmp(text, CUDA, CUDA_BYTES) == 0; }
static bool is_all(const char *text) { return strcmp(text, CUDA "all") == 0; }

/* What stands behind "cuda:". */
static const char *behind(const char *text) { return text + CUDA_BYTES; }

static bool is_number(const char *text) {
  size_t digits = strspn(text, "0123456789");
  return digits > 0 && digits <= 3 && text[digits] == '\0';
}

/* "GPU-" or "MIG-" and the beginning, at least, of what follows. */
static bool is_uuid(const char *text) {
  bool head =
      strncmp(text, "GPU-", UUID_HEAD_BYTES) == 0 || strncmp(text, "MIG-", UUID_HEAD_BYTES) == 0;
  size_t length = strlen(text);
  return head && length > UUID_HEAD_BYTES && length <= UUID_BYTES &&
         strspn(text + UUID_HEAD_BYTES, "0123456789abcdefABCDEF-") == length - UUID_HEAD_BYTES;
}

static enum status no_such_name(const char *text) {
  return fail_field(BAD_INPUT, "device",
                    "--device %.60s: no such device; there are cpu, ref, cuda:N, cuda:all, "
                    "cuda:GPU-UUID and cuda:MIG-UUID",
                    text);
}

enum status devices_check(const char *text) {
  if (on_host(text)) {
    return OK;
  }
  if (!is_cuda(text)) {
    return no_such_name(text);
  }
  const char *rest = behind(text);
  if (is_number(rest) && strtol(rest, NULL, NUMBER_BASE) >= DEVICES_MAX) {
    return fail_field(BAD_INPUT, "device", "--device %s: GPUs have numbers from 0 to %d", text,
                      DEVICES_MAX - 1);
  }
  return is_all(text) || is_number(rest) || is_uuid(rest) ? OK : no_such_name(text);
}

bool devices_own_memory(const char *text) { return is_cuda(text); }

bool devices_want_gpus(const char *const *texts, size_t count) {
  for (size_t i = 0; i < count; i++) {
    if (is_cuda(texts[i])) {
      return true;
    }
  }
  return false;
}

/* what is there -------------------------------------------------------------------------------- */

static bool begins_with(const char *text, const char *beginning) {
  return strncasecmp(text, beginning, strlen(beginning)) == 0;
}

/* The GPU of this number in the order of the bus, or the first whose UUID begins so: its row, or
 * DEVICES_NO_GPU. */
static size_t row_of_word(const struct gpu_list *list, const char *word) {
  for (size_t i = 0; i < list->count; i++) {
    const struct gpu *gpu = &list->gpu[i];
    bool numbered =
        is_number(word) && !gpu->instance && gpu->number == (int)strtol(word, NULL, NUMBER_BASE);
    if (numbered || (is_uuid(word) && begins_with(gpu->uuid, word))) {
      return i;
    }
  }
  return DEVICES_NO_GPU;
}

static bool has_row(const struct gpu_view *view, size_t row) {
  for (size_t i = 0; i < view->count; i++) {
    if (view->order[i] == row) {
      return true;
    }
  }
  return false;
}

static void add_row(struct gpu_view *view, size_t row) {
  if (view->count < GPUS_MAX && !has_row(view, row)) {
    view->order[view->count++] = row;
  }
}

/* A GPU is seen with its instances. */
static void add_whole(struct gpu_view *view, size_t row) {
  const struct gpu *gpu = &view->list->gpu[row];
  add_row(view, row);
  for (size_t i = row + 1; i < view->list->count && view->list->gpu[i].instance; i++) {
    if (!gpu->instance) {
      add_row(view, i);
    }
  }
}

/* As CUDA reads it: in this order, up to the first word that names nothing. */
static void add_visible(struct gpu_view *view, const char *visible) {
  char words[1024];
  snprintf(words, sizeof words, "%s", visible);
  char *rest = words;
  for (char *word = NULL; (word = strsep(&rest, ",")) != NULL;) {
    word += strspn(word, " ");
    word[strcspn(word, " ")] = '\0';
    size_t row = row_of_word(view->list, word);
    if (row == DEVICES_NO_GPU) {
      return;
    }
    add_whole(view, row);
  }
}

void gpu_view_make(const struct gpu_list *list, const char *visible, struct gpu_view *out) {
  *out = (struct gpu_view){.list = list};
  if (list == NULL) {
    return;
  }
  if (visible != NULL) {
    add_visible(out, visible);
    return;
  }
  for (size_t i = 0; i < list->count; i++) {
    add_row(out, i);
  }
}

/* what is meant -------------------------------------------------------------------------------- */

static const struct gpu *gpu_at(const struct gpu_view *view, size_t at) {
  return &view->list->gpu[view->order[at]];
}

/* The number of a GPU is its place among those that are seen. */
static int number_of(const struct gpu_view *view, size_t at) {
  int number = 0;
  for (size_t i = 0; i < at; i++) {
    number += !gpu_at(view, i)->instance;
  }
  return number;
}

static bool there_already(const struct worker_devices *devices, const char *open) {
  for (size_t i = 0; i < devices->count; i++) {
    if (strcmp(devices->row[i].open, open) == 0) {
      return true;
    }
  }
  return false;
}

static enum status add(struct worker_devices *devices, const struct worker_device *device) {
  if (there_already(devices, device->open)) {
    return OK;
  }
  if (devices->count == DEVICES_MAX) {
    return fail_field(BAD_INPUT, "device",
                      "--device means more than %d devices, which is the most that one worker has: "
                      "name some of them, and the others to another worker",
                      DEVICES_MAX);
  }
  devices->row[devices->count++] = *device;
  return OK;
}

static enum status add_gpu(struct worker_devices *devices, const struct gpu_view *view, size_t at) {
  const struct gpu *gpu = gpu_at(view, at);
  struct worker_device device = {.own_memory = true, .gpu = view->order[at]};
  if (gpu->instance) {
    snprintf(device.name, sizeof device.name, CUDA "%s", gpu->uuid);
  } else {
    snprintf(device.name, sizeof device.name, CUDA "%d", number_of(view, at));
  }
  snprintf(device.open, sizeof device.open, CUDA "%s", gpu->uuid);
  return add(devices, &device);
}

static enum status is_cut_up(const char *text, const struct gpu *gpu) {
  return fail_field(BAD_INPUT, "device",
                    "--device %s: MIG has cut %s into instances: name them, as "
                    "cuda:MIG-UUID (nvidia-smi -L lists them), or take cuda:all",
                    text, gpu->uuid);
}

static enum status nothing_for_all(const struct gpu_view *view) {
  return fail_field(BAD_INPUT, "device", "--device cuda:all: %s",
                    view->count == 0 ? "this machine shows no GPU"
                                     : "MIG is on, and no GPU here has an instance");
}

static enum status add_all(struct worker_devices *devices, const struct gpu_view *view) {
  size_t usable = 0;
  for (size_t at = 0; at < view->count; at++) {
    if (!gpu_at(view, at)->split) {
      usable++;
      TRY(add_gpu(devices, view, at));
    }
  }
  return usable > 0 ? OK : nothing_for_all(view);
}

static enum status add_numbered(struct worker_devices *devices, const struct gpu_view *view,
                                const char *text) {
  int number = (int)strtol(behind(text), NULL, NUMBER_BASE);
  int wholes = 0;
  for (size_t at = 0; at < view->count; at++) {
    const struct gpu *gpu = gpu_at(view, at);
    if (gpu->instance || wholes++ != number) {
      continue;
    }
    return gpu->split ? is_cut_up(text, gpu) : add_gpu(devices, view, at);
  }
  return fail_field(BAD_INPUT, "device", "--device %s: this machine shows %d GPU%s, from cuda:0 on",
                    text, wholes, wholes == 1 ? "" : "s");
}

static enum status add_by_uuid(struct worker_devices *devices, const struct gpu_view *view,
                               const char *text) {
  size_t found = 0, at = 0;
  for (size_t i = 0; i < view->count; i++) {
    if (begins_with(gpu_at(view, i)->uuid, behind(text))) {
      found++;
      at = i;
    }
  }
  if (found != 1) {
    return fail_field(BAD_INPUT, "device", "--device %s: %s", text,
                      found == 0 ? "this machine shows none with such a UUID (nvidia-smi -L)"
                                 : "several have such a UUID: write more of it");
  }
  return gpu_at(view, at)->split ? is_cut_up(text, gpu_at(view, at)) : add_gpu(devices, view, at);
}

/* Nobody can say what there is: a name is handed on to CUDA as it was given. */
static enum status add_unseen(struct worker_devices *devices, const struct gpu_view *view,
                              const char *text) {
  struct worker_device device = {.own_memory = true, .gpu = DEVICES_NO_GPU};
  if (is_all(text)) {
    return fail_field(BAD_INPUT, "device",
                      "--device cuda:all: nobody can say which GPUs there are: %s",
                      view->why != NULL ? view->why : "no driver");
  }
  snprintf(device.name, sizeof device.name, "%s", text);
  snprintf(device.open, sizeof device.open, "%s", text);
  return add(devices, &device);
}

static enum status add_meant(struct worker_devices *devices, const struct gpu_view *view,
                             const char *text) {
  if (on_host(text)) {
    struct worker_device device = {.gpu = DEVICES_NO_GPU};
    snprintf(device.name, sizeof device.name, "%s", text);
    snprintf(device.open, sizeof device.open, "%s", text);
    return add(devices, &device);
  }
  if (view->list == NULL) {
    return add_unseen(devices, view, text);
  }
  if (is_all(text)) {
    return add_all(devices, view);
  }
  return is_number(behind(text)) ? add_numbered(devices, view, text)
                                 : add_by_uuid(devices, view, text);
}

enum status devices_resolve(const char *const *texts, size_t count, const struct gpu_view *view,
                            struct worker_devices *out) {
  struct worker_devices devices = {.count = 0};
  for (size_t i = 0; i < count; i++) {
    TRY(devices_check(texts[i]));
    TRY(add_meant(&devices, view, texts[i]));
  }
  *out = devices;
  return OK;
}

/* models.conf ---------------------------------------------------------------------------------- */

static bool same(const char *item, size_t item_bytes, const char *text) {
  return strlen(text) == item_bytes && strncmp(item, text, item_bytes) == 0;
}

/* Either may be the shorter one: a worker that sees no list keeps what it was given. */
static bool same_uuid(const char *item, size_t item_bytes, const char *open) {
  size_t least = strlen(open) < item_bytes ? strlen(open) : item_bytes;
  return least > CUDA_BYTES + UUID_HEAD_BYTES && strncasecmp(item, open, least) == 0 &&
         isalpha((unsigned char)open[CUDA_BYTES]);
}

bool device_is_meant(const char *item, size_t item_bytes, const char *name, const char *open) {
  bool every = same(item, item_bytes, "cuda") || same(item, item_bytes, CUDA "all");
  return same(item, item_bytes, "*") || same(item, item_bytes, name) ||
         (is_cuda(name) && (every || same_uuid(item, item_bytes, open)));
}
