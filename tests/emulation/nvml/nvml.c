/* nvml.c - libnvidia-ml.so.1 for a machine without a GPU: found by LD_LIBRARY_PATH, it tells of as
 * many GPUs as EMULATION_DEVICES says, the same that the emulated CUDA runtime has.
 *
 * What a GPU says of itself stands in the file EMULATION_NVML, read anew at every question, so that
 * a test can change it: lines `NAME VALUE` for all GPUs or `NUMBER.NAME VALUE` for one. Names are
 * those of `values` below; mig N cuts the GPU into N instances; xid N is told once for each time
 * that the line changes; lost 1: it does not answer; hang 1: what is asked of it comes back when
 * the line is gone; driver 1: nvmlInit says there is none.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define VISIBLE __attribute__((visibility("default")))
#define DEVICES_MAX 64
#define INSTANCES_MAX 7

/* nvmlReturn_t */
enum {
  SUCCESS = 0,
  INVALID_ARGUMENT = 2,
  NOT_SUPPORTED = 3,
  NOT_FOUND = 6,
  INSUFFICIENT_SIZE = 7,
  DRIVER_NOT_LOADED = 9,
  TIMEOUT = 10,
  GPU_IS_LOST = 15
};

/* A GPU, or one of its instances: handles point to them. */
struct part {
  unsigned number;
  int instance; /* -1: the whole */
};
static struct part wholes[DEVICES_MAX];
static struct part instances[DEVICES_MAX][INSTANCES_MAX];
static unsigned long long watched[DEVICES_MAX]; /* types of events, of all sets */
static unsigned long long told_xid[DEVICES_MAX];

/* ---- the file ---- */

static const struct {
  const char *name;
  unsigned long long value;
} values[] = {
    {"temperature", 41},
    {"power", 120000},
    {"sm_clock", 1980},
    {"memory_clock", 2619},
    {"utilization", 37},
    {"memory_utilization", 12},
    {"memory_used", 1ULL << 30},
    {"slowed", 0},
    {"mig", 0},
    {"xid", 0},
    {"lost", 0},
    {"hang", 0},
    {"driver", 0},
};

static unsigned long long otherwise(const char *name) {
  for (size_t i = 0; i < sizeof values / sizeof values[0]; i++) {
    if (strcmp(values[i].name, name) == 0) {
      return values[i].value;
    }
  }
  fprintf(stderr, "emulation: NVML has no value %s\n", name);
  abort();
}

static unsigned long long value_of(unsigned number, const char *name) {
  unsigned long long value = otherwise(name);
  const char *path = getenv("EMULATION_NVML");
  FILE *file = path != NULL ? fopen(path, "re") : NULL;
  char word[64], own[64];
  unsigned long long read;
  snprintf(own, sizeof own, "%u.%s", number, name);
  while (file != NULL && fscanf(file, "%63s %llu", word, &read) == 2) {
    if (strcmp(word, name) == 0 || strcmp(word, own) == 0) {
      value = read;
    }
  }
  if (file != NULL) {
    fclose(file);
  }
  return value;
}

static unsigned device_count(void) {
  const char *text = getenv("EMULATION_DEVICES");
  unsigned long count = text == NULL || *text == '\0' ? 1 : strtoul(text, NULL, 10);
  return count < DEVICES_MAX ? (unsigned)count : DEVICES_MAX;
}

static unsigned long long memory_total(void) {
  const char *text = getenv("EMULATION_MEMORY");
  return text == NULL || *text == '\0' ? 2ULL << 30 : strtoull(text, NULL, 10);
}

/* As in a driver that waits for a GPU. */
static void hang(unsigned number) {
  const struct timespec while_ = {0, 20 * 1000 * 1000};
  while (value_of(number, "hang") != 0) {
    nanosleep(&while_, NULL);
  }
}

static int answer(const struct part *part, const char *name, unsigned *out) {
  hang(part->number);
  if (value_of(part->number, "lost") != 0) {
    return GPU_IS_LOST;
  }
  *out = (unsigned)value_of(part->number, name);
  return SUCCESS;
}

static int tell(char *to, unsigned bytes, const char *text) {
  if (strlen(text) >= bytes) {
    return INSUFFICIENT_SIZE;
  }
  snprintf(to, bytes, "%s", text);
  return SUCCESS;
}

/* ---- the library ---- */

VISIBLE int nvmlInit_v2(void) {
  for (unsigned i = 0; i < DEVICES_MAX; i++) {
    wholes[i] = (struct part){i, -1};
    for (int k = 0; k < INSTANCES_MAX; k++) {
      instances[i][k] = (struct part){i, k};
    }
  }
  hang(0);
  return value_of(0, "driver") != 0 ? DRIVER_NOT_LOADED : SUCCESS;
}
VISIBLE int nvmlShutdown(void) { return SUCCESS; }
VISIBLE const char *nvmlErrorString(int result) {
  return result == SUCCESS ? "Success" : result == GPU_IS_LOST ? "GPU is lost" : "Unknown Error";
}
VISIBLE int nvmlSystemGetDriverVersion(char *text, unsigned bytes) {
  return tell(text, bytes, "580.0.emulated");
}
VISIBLE int nvmlDeviceGetCount_v2(unsigned *count) {
  *count = device_count();
  return SUCCESS;
}
VISIBLE int nvmlDeviceGetHandleByIndex_v2(unsigned index, void **device) {
  if (index >= device_count()) {
    return INVALID_ARGUMENT;
  }
  *device = &wholes[index];
  return value_of(index, "lost") != 0 ? GPU_IS_LOST : SUCCESS;
}

struct pci {
  char short_name[16];
  unsigned domain, bus, device, id, subsystem;
  char name[32];
};
VISIBLE int nvmlDeviceGetPciInfo_v3(void *device, struct pci *out) {
  const struct part *part = device;
  *out = (struct pci){.bus = part->number + 1};
  snprintf(out->short_name, sizeof out->short_name, "0000:%02x:00.0", out->bus);
  snprintf(out->name, sizeof out->name, "00000000:%02X:00.0", out->bus);
  return SUCCESS;
}

/* Its bytes are those of the emulated runtime (device.cpp): "emulated-gpu-", 0, 0, number. */
VISIBLE int nvmlDeviceGetUUID(void *device, char *text, unsigned bytes) {
  const struct part *part = device;
  unsigned char raw[16] = "emulated-gpu-";
  char uuid[64];
  raw[15] = (unsigned char)part->number;
  raw[14] = (unsigned char)(part->instance + 1);
  int length = snprintf(uuid, sizeof uuid, part->instance < 0 ? "GPU-" : "MIG-");
  for (int i = 0; i < 16; i++) {
    const char *dash = i == 4 || i == 6 || i == 8 || i == 10 ? "-" : "";
    length += snprintf(uuid + length, sizeof uuid - (size_t)length, "%s%02x", dash, raw[i]);
  }
  return tell(text, bytes, uuid);
}
VISIBLE int nvmlDeviceGetName(void *device, char *text, unsigned bytes) {
  const struct part *part = device;
  return tell(text, bytes, part->instance < 0 ? "Emulated GPU" : "Emulated GPU MIG 1g.1gb");
}

VISIBLE int nvmlDeviceGetTemperature(void *device, int sensor, unsigned *celsius) {
  return sensor != 0 ? INVALID_ARGUMENT : answer(device, "temperature", celsius);
}
VISIBLE int nvmlDeviceGetPowerUsage(void *device, unsigned *milliwatts) {
  return answer(device, "power", milliwatts);
}
VISIBLE int nvmlDeviceGetClockInfo(void *device, int clock, unsigned *megahertz) {
  return answer(device, clock == 2 ? "memory_clock" : "sm_clock", megahertz);
}
VISIBLE int nvmlDeviceGetCurrentClocksThrottleReasons(void *device, unsigned long long *reasons) {
  unsigned value = 0;
  int result = answer(device, "slowed", &value);
  *reasons = value;
  return result;
}

struct rates {
  unsigned gpu, memory;
};
/* Instances have none, as on a real GPU. */
VISIBLE int nvmlDeviceGetUtilizationRates(void *device, struct rates *out) {
  const struct part *part = device;
  if (part->instance >= 0) {
    return NOT_SUPPORTED;
  }
  int result = answer(part, "utilization", &out->gpu);
  return result != SUCCESS ? result : answer(part, "memory_utilization", &out->memory);
}

struct memory {
  unsigned long long total, available, used;
};
VISIBLE int nvmlDeviceGetMemoryInfo(void *device, struct memory *out) {
  const struct part *part = device;
  out->total = memory_total();
  out->used = value_of(part->number, "memory_used");
  out->available = out->total > out->used ? out->total - out->used : 0;
  return value_of(part->number, "lost") != 0 ? GPU_IS_LOST : SUCCESS;
}

/* ---- instances ---- */

VISIBLE int nvmlDeviceGetMigMode(void *device, unsigned *now, unsigned *next) {
  const struct part *part = device;
  *now = *next = value_of(part->number, "mig") != 0;
  return SUCCESS;
}
VISIBLE int nvmlDeviceGetMaxMigDeviceCount(void *device, unsigned *count) {
  (void)device;
  *count = INSTANCES_MAX;
  return SUCCESS;
}
VISIBLE int nvmlDeviceGetMigDeviceHandleByIndex(void *device, unsigned index, void **out) {
  const struct part *part = device;
  if (index >= value_of(part->number, "mig") || index >= INSTANCES_MAX) {
    return NOT_FOUND;
  }
  *out = &instances[part->number][index];
  return SUCCESS;
}
VISIBLE int nvmlDeviceGetGpuInstanceId(void *device, unsigned *id) {
  const struct part *part = device;
  *id = part->instance < 0 ? 0 : (unsigned)part->instance + 1;
  return part->instance < 0 ? INVALID_ARGUMENT : SUCCESS;
}

/* ---- events ---- */

#define EVENT_XID 0x8ULL
struct event {
  void *device;
  unsigned long long type, data;
  unsigned share, compute_share;
};

VISIBLE int nvmlEventSetCreate(void **set) {
  *set = watched;
  return SUCCESS;
}
VISIBLE int nvmlEventSetFree(void *set) {
  (void)set;
  memset(watched, 0, sizeof watched);
  return SUCCESS;
}
VISIBLE int nvmlDeviceRegisterEvents(void *device, unsigned long long types, void *set) {
  const struct part *part = device;
  (void)set;
  if (part->instance >= 0 || (types & ~EVENT_XID) != 0) {
    return NOT_SUPPORTED;
  }
  watched[part->number] |= types;
  return SUCCESS;
}

static int next_event(struct event *out) {
  for (unsigned i = 0; i < device_count(); i++) {
    unsigned long long xid = value_of(i, "xid");
    if (xid == 0) {
      told_xid[i] = 0;
    }
    if (watched[i] != 0 && xid != 0 && xid != told_xid[i]) {
      told_xid[i] = xid;
      *out = (struct event){&wholes[i], EVENT_XID, xid, ~0u, ~0u};
      return SUCCESS;
    }
  }
  return TIMEOUT;
}

/* The file is looked at ten times a second. */
VISIBLE int nvmlEventSetWait_v2(void *set, struct event *out, unsigned milliseconds) {
  const struct timespec while_ = {0, 100 * 1000 * 1000};
  (void)set;
  for (unsigned waited = 0; waited <= milliseconds; waited += 100) {
    if (next_event(out) == SUCCESS) {
      return SUCCESS;
    }
    nanosleep(&while_, NULL);
  }
  return TIMEOUT;
}
