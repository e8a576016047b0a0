/* device.c - the table of backends, and what is the same for all of them: names and slots.
 */
#include "kernels/device.h"

#include <assert.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/limits.h"
#include "base/progress.h"
#include "kernels/backend.h"

static const struct backend *const backends[] = {
    &backend_ref,
#if !defined(DARKROOM_WITHOUT_CPU)
    &backend_cpu,
#endif
#if defined(DARKROOM_CUDA)
    &backend_cuda,
#endif
};
enum { BACKENDS = sizeof backends / sizeof backends[0] };

static const char *const slot_names[OPS_COUNT] = {
#define SLOT_NAME(name, parameters) #name,
    OPS(SLOT_NAME)
#undef SLOT_NAME
};

/* What stands behind the colon of "cuda:...": a number, or the beginning of a UUID as NVIDIA's
 * tools print it. */
static bool is_uuid(const char *which) {
  return (strncmp(which, "GPU-", 4) == 0 || strncmp(which, "MIG-", 4) == 0) &&
         which[4 + strspn(which + 4, "0123456789abcdefABCDEF-/GPU")] == '\0';
}

static enum status check_which(const char *name, const char *which) {
  if (is_uuid(which)) {
    return OK;
  }
  char *end;
  long number = strtol(which, &end, 10);
  if (end == which || *end != '\0' || number < 0 || number >= DEVICES_MAX) {
    return fail(BAD_INPUT,
                "device \"%.60s\": a number 0..%d is wanted behind the colon, or a UUID GPU-... or "
                "MIG-...",
                name, DEVICES_MAX - 1);
  }
  return OK;
}

/* Splits "cuda:1" into its kind and which of them. Only cuda has several. */
static enum status parse_name(const char *name, char *kind, size_t kind_bytes, const char **which) {
  const char *colon = strchr(name, ':');
  size_t length = colon != NULL ? (size_t)(colon - name) : strlen(name);
  snprintf(kind, kind_bytes, "%.*s", (int)length, name);
  *which = colon != NULL ? colon + 1 : "";
  if (strlen(name) >= DEVICE_NAME_BYTES_MAX) {
    return fail(BAD_INPUT, "device \"%.60s...\": names have at most %d bytes", name,
                DEVICE_NAME_BYTES_MAX - 1);
  }
  if (colon != NULL && strcmp(kind, "cuda") != 0) {
    return fail(BAD_INPUT, "device \"%.60s\": only cuda has several", name);
  }
  return colon != NULL ? check_which(name, *which) : OK;
}

static enum status find_backend(const char *name, const char *kind, const struct backend **out) {
  for (int i = 0; i < BACKENDS; i++) {
    if (strcmp(backends[i]->name, kind) == 0) {
      *out = backends[i];
      return OK;
    }
  }
  if (strcmp(kind, "cuda") == 0) {
    return fail(UNAVAILABLE, "device \"%.60s\": this program was built without CUDA", name);
  }
  return fail(BAD_INPUT, "unknown device \"%.60s\": ref, cpu, cuda:N", name);
}

/* An empty slot would be a crash in the middle of somebody's picture. */
static enum status check_slots(const struct backend *backend) {
  void (*slots[OPS_COUNT])(void);
  memcpy(slots, &backend->ops, sizeof slots);
  for (int i = 0; i < OPS_COUNT; i++) {
    if (slots[i] == NULL) {
      return fail(BROKEN, "device %s has no %s", backend->name, slot_names[i]);
    }
  }
  return OK;
}

enum status device_open(const char *name, const struct device_settings *settings,
                        struct device **out) {
  static const struct device_settings defaults;
  char kind[16];
  const char *which = NULL;
  const struct backend *backend = NULL;
  if (settings == NULL) {
    settings = &defaults;
  }
  TRY(parse_name(name, kind, sizeof kind, &which));
  TRY(find_backend(name, kind, &backend));
  assert(backend != NULL);
  TRY(check_slots(backend));
  struct device *device = NULL;
  TRY(backend->open(settings, which, &device));
  device->backend = backend;
  device->memory_max = settings->memory_max;
  device->determinism = settings->determinism;
  snprintf(device->name, sizeof device->name, "%s", name);
  *out = device;
  return OK;
}

enum status device_built(const char *name) {
  char kind[16];
  const struct backend *backend = NULL;
  snprintf(kind, sizeof kind, "%.*s", (int)strcspn(name, ":"), name);
  return find_backend(name, kind, &backend);
}

void device_close(struct device **device) {
  if (device == NULL || *device == NULL) {
    return;
  }
  (*device)->backend->close(*device);
  *device = NULL;
}

void device_calm_threads(char *const *arguments) {
  if (getenv("GOMP_SPINCOUNT") == NULL && getenv("OMP_WAIT_POLICY") == NULL &&
      setenv("GOMP_SPINCOUNT", "1000", 1) == 0) {
    execv("/proc/self/exe", arguments); /* returns only if it cannot: then slower, nothing worse */
  }
}

const char *device_name(const struct device *device) { return device->name; }
enum element device_element_for(const struct device *device, enum precision precision) {
  return device->element[precision];
}
enum element device_element(const struct device *device) {
  return device_element_for(device, PRECISION_FAST);
}
enum determinism device_determinism(const struct device *device) { return device->determinism; }
bool device_prepares(const struct device *device) { return device->backend->prepares; }
int device_threads(const struct device *device) { return device->threads; }
size_t device_memory_used(const struct device *device) { return device->memory_used; }
size_t device_memory_peak(const struct device *device) { return device->memory_peak; }
size_t device_memory_total(const struct device *device) { return device->memory_total; }

enum status device_describe(struct device *device, struct device_info *out) {
  struct device_info info = {0};
  if (device->backend->describe != NULL) {
    TRY(device->backend->describe(device, &info));
  }
  *out = info;
  return OK;
}

static void *arena_block_take(void *context, size_t bytes) { return device_take(context, bytes); }
static void arena_block_drop(void *context, void *block, size_t bytes) {
  device_drop(context, block, bytes);
}

enum status device_arena(struct device *device, size_t max, struct arena **out) {
  struct arena_source source = {arena_block_take, arena_block_drop, device};
  return arena_open(&source, max, out);
}

enum status device_block(struct device *device, size_t bytes, struct arena **out) {
  struct arena *arena = NULL;
  TRY(device_arena(device, bytes, &arena));
  if (arena_take(arena, bytes) == NULL) {
    arena_close(&arena);
    return EXHAUSTED;
  }
  arena_drop(arena);
  *out = arena;
  return OK;
}

enum status device_put(struct device *device, const void *host, size_t bytes,
                       const struct tensor *to) {
  assert(bytes == tensor_bytes(to));
  progress_count();
  return device->backend->put(device, to->data, host, bytes);
}

enum status device_get(struct device *device, const struct tensor *from, void *host, size_t bytes) {
  assert(bytes == tensor_bytes(from));
  progress_count();
  return device->backend->get(device, host, from->data, bytes);
}

enum status device_wait(struct device *device) { return device->backend->wait(device); }
