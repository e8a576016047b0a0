/* nvml.h - what the GPUs' driver says of them, through its management library (NVML).
 *
 * The library comes with the driver: it is looked for when it is asked for, by name, and nothing
 * here needs it to be there. It starts no CUDA, so the parent may ask it. Its calls go into the
 * driver and may hang for as long as a sick GPU does: they are for a thread of their own (gpus.h).
 */
#ifndef DARKROOM_WORKER_NVML_H
#define DARKROOM_WORKER_NVML_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

#define GPU_UUID_BYTES_MAX 48 /* "GPU-" or "MIG-" and 36 letters, with room */
#define GPU_MODEL_BYTES_MAX 96
#define GPU_DRIVER_BYTES_MAX 32
/* GPUs of a machine and the instances that MIG has cut them into; further ones are not seen. */
#define GPUS_MAX 256

/* A GPU, or an instance of one. */
struct gpu {
  char uuid[GPU_UUID_BYTES_MAX];
  char model[GPU_MODEL_BYTES_MAX];
  int number;        /* of the GPU, in the order of the PCI bus; an instance has its GPU's */
  bool split;        /* MIG is on: it computes nothing itself, its instances do */
  bool instance;     /* is such an instance */
  uint32_t share;    /* of an instance: the GPU instance id by which events name it */
  uint32_t place[3]; /* on the PCI bus: domain, bus, device */
  void *handle;      /* the library's, of this life of it */
  void *whole; /* the handle of its GPU: temperature, power and clocks are not an instance's */
};

struct gpu_list {
  struct gpu gpu[GPUS_MAX]; /* GPUs in the order of the PCI bus, each before its instances */
  size_t count;
  char driver[GPU_DRIVER_BYTES_MAX];
};

/* One look at a GPU, in base units; NAN is what it does not tell. */
struct gpu_reading {
  double temperature_celsius, power_watts;
  double sm_hertz, memory_hertz;
  double utilization; /* 0..1: of the last second, how long a kernel was running */
  double memory_used_bytes, memory_total_bytes;
  double slowed; /* 1: the hardware holds its clocks down for heat or power, beyond the set cap */
};

/* Something went wrong in a GPU: what NVIDIA's driver calls an Xid. */
struct gpu_xid {
  size_t gpu; /* row of the list */
  uint32_t number;
};

struct nvml;

/* UNAVAILABLE without the library, with one that lacks a function that is needed, or while the
 * driver is not there: the reason says which. */
enum status nvml_open(struct nvml **out);
void nvml_close(struct nvml **nvml);

/* All GPUs and instances that this process may see. A GPU that does not answer is left out and
 * logged. UNAVAILABLE when the list cannot be had. */
enum status nvml_list(struct nvml *nvml, struct gpu_list *out);
/* UNAVAILABLE when the GPU is lost: it answers nothing any more. */
enum status nvml_read(struct nvml *nvml, const struct gpu *gpu, struct gpu_reading *out);

/* From now on Xids of these GPUs are told. UNAVAILABLE where the driver tells none. */
enum status nvml_watch(struct nvml *nvml, const struct gpu_list *list);
/* Waits for the next one, at most so long; false: there was none. An Xid of a split GPU without a
 * share that is in the list comes with the GPU's own row. */
bool nvml_next_xid(struct nvml *nvml, const struct gpu_list *list, int timeout_ms,
                   struct gpu_xid *out);

#endif
