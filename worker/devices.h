/* devices.h - the setting --device: what may be written, and which pieces of hardware it means.
 *
 *   cpu, ref              the host
 *   cuda:N                a GPU, numbered from 0 in the order of the PCI bus (nvidia-smi's); the
 *                         numbers behind one that falls out move up, a UUID stays
 *   cuda:all              every GPU, and every instance of those that MIG has cut up
 *   cuda:GPU-8f3a         a GPU by the beginning of its UUID
 *   cuda:MIG-91c2...      an instance by the beginning of its UUID
 *
 * A GPU is one device, however often and by whatever names it is asked for. One that is cut up
 * computes only through its instances. CUDA_VISIBLE_DEVICES of our own environment is kept: what it
 * does not name is not there, and numbers count within it. Everything here only looks at lists: no
 * CUDA is started.
 */
#ifndef DARKROOM_WORKER_DEVICES_H
#define DARKROOM_WORKER_DEVICES_H

#include <stdbool.h>
#include <stddef.h>

#include "base/limits.h"
#include "base/status.h"
#include "worker/nvml.h"

#define DEVICE_WORD_BYTES_MAX 64
#define DEVICES_NO_GPU ((size_t)-1)

struct worker_device {
  char name[DEVICE_WORD_BYTES_MAX]; /* for people, models.conf, log and metrics: "cuda:0" */
  char open[DEVICE_WORD_BYTES_MAX]; /* for device_open: by UUID where that is known */
  bool own_memory;                  /* it computes in memory of its own, not in the host's */
  size_t gpu;                       /* its row in the list of GPUs, or DEVICES_NO_GPU */
};

struct worker_devices {
  struct worker_device row[DEVICES_MAX];
  size_t count;
};

/* Whether text is a name as above. BAD_INPUT, with field "device", names it and what there is. */
enum status devices_check(const char *text);
/* Whether it has memory of its own beside the host's: whether it is a GPU. */
bool devices_own_memory(const char *text);
/* Whether any of them is a GPU. */
bool devices_want_gpus(const char *const *texts, size_t count);

/* The GPUs of a machine as a process sees them: `visible` is CUDA_VISIBLE_DEVICES, NULL where it is
 * not set. Rows keep their places in the list; hidden ones are marked. */
struct gpu_view {
  const struct gpu_list *list; /* NULL: nobody can say */
  const char *why;             /* then: why */
  size_t order[GPUS_MAX];      /* rows that may be used, in the order of their numbers */
  size_t count;
};
void gpu_view_make(const struct gpu_list *list, const char *visible, struct gpu_view *out);

/* What the words of --device mean here. BAD_INPUT, with field "device": none or several GPUs are
 * meant by one, or more than DEVICES_MAX in all. */
enum status devices_resolve(const char *const *texts, size_t count, const struct gpu_view *view,
                            struct worker_devices *out);

/* Whether an item of a models.conf row ("cpu", "cuda", "cuda:all", "cuda:1", "cuda:GPU-8f3a") means
 * this device, by its name or by the name that it is opened by. */
bool device_is_meant(const char *item, size_t item_bytes, const char *name, const char *open);

#endif
