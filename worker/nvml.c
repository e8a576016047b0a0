/* nvml.c - libnvidia-ml.so.1 by dlopen: one list of its functions, our own declarations of its ABI.
 *
 * Types, numbers and names are those of the NVML API reference (docs.nvidia.com/deploy/nvml-api:
 * nvmlReturn_t, nvmlPciInfo_t, nvmlUtilization_t, nvmlMemory_t, nvmlEventData_t,
 * nvmlClocksEventReasons). The library keeps old versions of a function under their old names, so
 * each name here means the same for ever.
 */
#include "worker/nvml.h"

#include <dlfcn.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "monitoring/log.h"

#define LIBRARY "libnvidia-ml.so.1"

/* the library's words -------------------------------------------------------------------------- */

typedef int answer; /* nvmlReturn_t */
enum { ANSWER_OK = 0, ANSWER_NOT_SUPPORTED = 3, ANSWER_GPU_LOST = 15 };
enum { SENSOR_GPU = 0, CLOCK_SM = 1, CLOCK_MEMORY = 2, MIG_ON = 1 };
enum { TEXT_BYTES_MAX = 96 }; /* NVML_DEVICE_NAME_V2_BUFFER_SIZE, the longest that is asked for */
#define EVENT_XID 0x8ULL
#define EVENT_WHOLE_GPU 0xFFFFFFFFU /* an event's instance where it concerns no instance */
/* what the hardware does by itself: slowdown, thermal slowdown, power brake; and the driver's
 * thermal slowdown. A power cap (4) is how most GPUs work under load. */
#define SLOWED_BITS (0x8ULL | 0x20ULL | 0x40ULL | 0x80ULL)

struct pci_place {
  char short_name[16];
  unsigned domain, bus, device, id, subsystem;
  char name[32];
};
struct rates {
  unsigned gpu, memory; /* percent */
};
struct memory {
  unsigned long long total, available, used;
};
struct event {
  void *device;
  unsigned long long type, data;
  unsigned share, compute_share;
};

/* FUNCTION(our name, its name, parameters): without these nothing can be said. */
#define NEEDED(FUNCTION)                                                          \
  FUNCTION(init, nvmlInit_v2, (void))                                             \
  FUNCTION(shutdown, nvmlShutdown, (void))                                        \
  FUNCTION(driver, nvmlSystemGetDriverVersion, (char *text, unsigned bytes))      \
  FUNCTION(count, nvmlDeviceGetCount_v2, (unsigned *count))                       \
  FUNCTION(by_index, nvmlDeviceGetHandleByIndex_v2, (unsigned index, void **gpu)) \
  FUNCTION(place, nvmlDeviceGetPciInfo_v3, (void *gpu, struct pci_place *place))  \
  FUNCTION(uuid, nvmlDeviceGetUUID, (void *gpu, char *text, unsigned bytes))      \
  FUNCTION(model, nvmlDeviceGetName, (void *gpu, char *text, unsigned bytes))

/* What a driver or a GPU may lack: then it is not told. */
#define OPTIONAL(FUNCTION)                                                                     \
  FUNCTION(mig_mode, nvmlDeviceGetMigMode, (void *gpu, unsigned *now, unsigned *next))         \
  FUNCTION(mig_count, nvmlDeviceGetMaxMigDeviceCount, (void *gpu, unsigned *count))            \
  FUNCTION(mig_by_index, nvmlDeviceGetMigDeviceHandleByIndex,                                  \
           (void *gpu, unsigned index, void **instance))                                       \
  FUNCTION(share, nvmlDeviceGetGpuInstanceId, (void *instance, unsigned *share))               \
  FUNCTION(temperature, nvmlDeviceGetTemperature, (void *gpu, int sensor, unsigned *celsius))  \
  FUNCTION(power, nvmlDeviceGetPowerUsage, (void *gpu, unsigned *milliwatts))                  \
  FUNCTION(clock, nvmlDeviceGetClockInfo, (void *gpu, int clock, unsigned *megahertz))         \
  FUNCTION(utilization, nvmlDeviceGetUtilizationRates, (void *gpu, struct rates *rates))       \
  FUNCTION(memory, nvmlDeviceGetMemoryInfo, (void *gpu, struct memory *memory))                \
  FUNCTION(slowed, nvmlDeviceGetCurrentClocksThrottleReasons,                                  \
           (void *gpu, unsigned long long *reasons))                                           \
  FUNCTION(events, nvmlEventSetCreate, (void **set))                                           \
  FUNCTION(register_gpu, nvmlDeviceRegisterEvents,                                             \
           (void *gpu, unsigned long long types, void *set))                                   \
  FUNCTION(wait, nvmlEventSetWait_v2, (void *set, struct event *event, unsigned milliseconds)) \
  FUNCTION(forget, nvmlEventSetFree, (void *set))

#define SLOT(ours, theirs, parameters) answer(*ours) parameters;
struct nvml {
  void *library;
  NEEDED(SLOT)
  OPTIONAL(SLOT)
  bool begun;
  void *set; /* of events; NULL: none are told */
};
#undef SLOT

/* Of an optional function: what it answers, or that it is not supported. */
#define ASK(nvml, function, ...) \
  ((nvml)->function != NULL ? (nvml)->function(__VA_ARGS__) : ANSWER_NOT_SUPPORTED)

/* opening -------------------------------------------------------------------------------------- */

/* A function's address through memory: ISO C has no conversion for it. */
static bool find(struct nvml *nvml, const char *name, void *slot) {
  void *found = dlsym(nvml->library, name);
  memcpy(slot, &found, sizeof found);
  return found != NULL;
}

static enum status find_all(struct nvml *nvml) {
#define FIND(ours, theirs, parameters)                          \
  if (!find(nvml, #theirs, &nvml->ours)) {                      \
    return fail(UNAVAILABLE, "%s has no %s", LIBRARY, #theirs); \
  }
  NEEDED(FIND)
#undef FIND
#define LOOK(ours, theirs, parameters) (void)find(nvml, #theirs, &nvml->ours);
  OPTIONAL(LOOK)
#undef LOOK
  return OK;
}

static enum status open_library(struct nvml *nvml) {
  nvml->library = dlopen(LIBRARY, RTLD_NOW | RTLD_LOCAL);
  if (nvml->library == NULL) {
    return fail(UNAVAILABLE, "%s is not to be had: %s", LIBRARY, dlerror());
  }
  TRY(find_all(nvml));
  answer said = nvml->init();
  if (said != ANSWER_OK) {
    return fail(UNAVAILABLE, "the NVIDIA driver does not answer (nvmlInit_v2: %d)", said);
  }
  nvml->begun = true;
  return OK;
}

enum status nvml_open(struct nvml **out) {
  struct nvml *nvml = calloc(1, sizeof *nvml);
  if (nvml == NULL) {
    return fail(EXHAUSTED, "no memory");
  }
  enum status status = open_library(nvml);
  if (status != OK) {
    nvml_close(&nvml);
    return status;
  }
  *out = nvml;
  return OK;
}

void nvml_close(struct nvml **nvml) {
  if (*nvml == NULL) {
    return;
  }
  if ((*nvml)->set != NULL) {
    (void)(*nvml)->forget((*nvml)->set);
  }
  if ((*nvml)->begun) {
    (void)(*nvml)->shutdown();
  }
  if ((*nvml)->library != NULL) {
    dlclose((*nvml)->library);
  }
  free(*nvml);
  *nvml = NULL;
}

/* the list ------------------------------------------------------------------------------------- */

/* Texts go into labels and messages: they are held to what is printable there. */
static void keep_text(char *to, size_t room, const char *from) {
  size_t length = 0;
  for (; from[length] != '\0' && length < room - 1; length++) {
    char c = from[length];
    to[length] = c < ' ' || c > '~' || c == ',' || c == '"' || c == '\\' ? ' ' : c;
  }
  to[length] = '\0';
}

/* Who it is: needed of each. */
static bool name_it(struct nvml *nvml, struct gpu *gpu) {
  char uuid[TEXT_BYTES_MAX] = "", model[TEXT_BYTES_MAX] = "";
  if (nvml->uuid(gpu->handle, uuid, sizeof uuid) != ANSWER_OK ||
      nvml->model(gpu->handle, model, sizeof model) != ANSWER_OK) {
    return false;
  }
  uuid[sizeof uuid - 1] = model[sizeof model - 1] = '\0';
  keep_text(gpu->uuid, sizeof gpu->uuid, uuid);
  keep_text(gpu->model, sizeof gpu->model, model);
  return true;
}

static bool look_at(struct nvml *nvml, unsigned index, struct gpu *gpu) {
  struct pci_place place;
  unsigned mig_now = 0, mig_next = 0;
  memset(&place, 0, sizeof place);
  *gpu = (struct gpu){0};
  if (nvml->by_index(index, &gpu->handle) != ANSWER_OK || !name_it(nvml, gpu) ||
      nvml->place(gpu->handle, &place) != ANSWER_OK) {
    return false;
  }
  gpu->whole = gpu->handle;
  gpu->place[0] = place.domain;
  gpu->place[1] = place.bus;
  gpu->place[2] = place.device;
  gpu->split =
      ASK(nvml, mig_mode, gpu->handle, &mig_now, &mig_next) == ANSWER_OK && mig_now == MIG_ON;
  return true;
}

static int by_place(const void *left, const void *right) {
  const struct gpu *a = left, *b = right;
  for (int i = 0; i < 3; i++) {
    if (a->place[i] != b->place[i]) {
      return a->place[i] < b->place[i] ? -1 : 1;
    }
  }
  return 0;
}

/* Places among the instances may be empty. */
static void add_instances(struct nvml *nvml, const struct gpu *whole, struct gpu_list *list) {
  unsigned places = 0;
  if (ASK(nvml, mig_count, whole->handle, &places) != ANSWER_OK) {
    return;
  }
  for (unsigned i = 0; i < places && list->count < GPUS_MAX; i++) {
    struct gpu gpu = {.instance = true,
                      .number = whole->number,
                      .whole = whole->handle,
                      .share = EVENT_WHOLE_GPU};
    if (ASK(nvml, mig_by_index, whole->handle, i, &gpu.handle) == ANSWER_OK &&
        name_it(nvml, &gpu)) {
      (void)ASK(nvml, share, gpu.handle, &gpu.share);
      list->gpu[list->count++] = gpu;
    }
  }
}

static size_t list_wholes(struct nvml *nvml, unsigned count, struct gpu *wholes) {
  size_t found = 0;
  for (unsigned i = 0; i < count && found < GPUS_MAX; i++) {
    if (look_at(nvml, i, &wholes[found])) {
      found++;
    } else {
      log_warning("gpu_does_not_answer", log_number("nvml_index", i));
    }
  }
  qsort(wholes, found, sizeof wholes[0], by_place);
  return found;
}

enum status nvml_list(struct nvml *nvml, struct gpu_list *out) {
  unsigned count = 0;
  char driver[TEXT_BYTES_MAX] = "";
  answer said = nvml->count(&count);
  if (said != ANSWER_OK) {
    return fail(UNAVAILABLE, "the NVIDIA driver does not list its GPUs (%d)", said);
  }
  struct gpu *wholes = calloc(GPUS_MAX, sizeof *wholes);
  if (wholes == NULL) {
    return fail(EXHAUSTED, "no memory");
  }
  size_t found = list_wholes(nvml, count, wholes);
  out->count = 0;
  for (size_t i = 0; i < found && out->count < GPUS_MAX; i++) {
    wholes[i].number = (int)i;
    out->gpu[out->count++] = wholes[i];
    if (wholes[i].split) {
      add_instances(nvml, &wholes[i], out);
    }
  }
  free(wholes);
  (void)nvml->driver(driver, sizeof driver);
  driver[sizeof driver - 1] = '\0';
  keep_text(out->driver, sizeof out->driver, driver);
  return OK;
}

/* a reading ------------------------------------------------------------------------------------ */

static double in_units(answer said, unsigned value, double unit) {
  return said == ANSWER_OK ? (double)value * unit : NAN;
}

static double clock_hertz(struct nvml *nvml, const struct gpu *gpu, int which) {
  unsigned megahertz = 0;
  answer said = ASK(nvml, clock, gpu->whole, which, &megahertz);
  return in_units(said, megahertz, 1e6);
}

static void read_memory(struct nvml *nvml, const struct gpu *gpu, struct gpu_reading *out) {
  struct memory memory = {0};
  bool known = ASK(nvml, memory, gpu->handle, &memory) == ANSWER_OK;
  out->memory_used_bytes = known ? (double)memory.used : NAN;
  out->memory_total_bytes = known ? (double)memory.total : NAN;
}

enum status nvml_read(struct nvml *nvml, const struct gpu *gpu, struct gpu_reading *out) {
  unsigned celsius = 0, milliwatts = 0;
  unsigned long long reasons = 0;
  struct rates rates = {0};
  answer said = ASK(nvml, temperature, gpu->whole, SENSOR_GPU, &celsius);
  if (said == ANSWER_GPU_LOST) {
    return fail(UNAVAILABLE, "the GPU is lost: the driver reaches it no more");
  }
  *out = (struct gpu_reading){.temperature_celsius = in_units(said, celsius, 1)};
  said = ASK(nvml, power, gpu->whole, &milliwatts);
  out->power_watts = in_units(said, milliwatts, 1e-3);
  out->sm_hertz = clock_hertz(nvml, gpu, CLOCK_SM);
  out->memory_hertz = clock_hertz(nvml, gpu, CLOCK_MEMORY);
  said = ASK(nvml, utilization, gpu->handle, &rates);
  out->utilization = in_units(said, rates.gpu, 1e-2);
  read_memory(nvml, gpu, out);
  said = ASK(nvml, slowed, gpu->whole, &reasons);
  out->slowed = said == ANSWER_OK ? (reasons & SLOWED_BITS) != 0 : NAN;
  return OK;
}

/* Xids ----------------------------------------------------------------------------------------- */

enum status nvml_watch(struct nvml *nvml, const struct gpu_list *list) {
  size_t watched = 0;
  if (nvml->wait == NULL || nvml->forget == NULL || ASK(nvml, events, &nvml->set) != ANSWER_OK) {
    nvml->set = NULL;
    return fail(UNAVAILABLE, "this driver tells no Xid");
  }
  for (size_t i = 0; i < list->count; i++) {
    const struct gpu *gpu = &list->gpu[i];
    watched +=
        !gpu->instance && ASK(nvml, register_gpu, gpu->handle, EVENT_XID, nvml->set) == ANSWER_OK;
  }
  if (watched == 0) {
    (void)nvml->forget(nvml->set);
    nvml->set = NULL;
    return fail(UNAVAILABLE, "no GPU here tells its Xids");
  }
  return OK;
}

static bool concerns(const struct event *event, const struct gpu *gpu) {
  bool of_whole = event->share == EVENT_WHOLE_GPU || !gpu->split;
  return gpu->instance ? event->device == gpu->whole && event->share == gpu->share &&
                             event->share != EVENT_WHOLE_GPU
                       : event->device == gpu->handle && of_whole;
}

bool nvml_next_xid(struct nvml *nvml, const struct gpu_list *list, int timeout_ms,
                   struct gpu_xid *out) {
  struct event event = {0};
  if (nvml->set == NULL || nvml->wait(nvml->set, &event, (unsigned)timeout_ms) != ANSWER_OK ||
      event.type != EVENT_XID) {
    return false;
  }
  for (size_t i = 0; i < list->count; i++) {
    if (concerns(&event, &list->gpu[i])) {
      *out = (struct gpu_xid){i, (uint32_t)event.data};
      return true;
    }
  }
  for (size_t i = 0; i < list->count; i++) { /* of an instance made since: its GPU is to blame */
    if (list->gpu[i].handle == event.device) {
      *out = (struct gpu_xid){i, (uint32_t)event.data};
      return true;
    }
  }
  return false;
}
