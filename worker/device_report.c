/* device_report.c - what engines and driver have told of each device, in the contract's words. */
#include "worker/device_report.h"

static char *known(const char *text) { return text[0] != '\0' ? (char *)text : NULL; }

/* The driver knows a GPU before any engine has opened it. */
static void write_gpu(const struct worker *worker, size_t index, Darkroom__V1__DeviceInfo *out) {
  size_t row = worker->hardware.devices.row[index].gpu;
  if (worker->hardware.gpus != NULL && row != DEVICES_NO_GPU) {
    const struct gpu_list *list = gpus_list(worker->hardware.gpus);
    out->model = known(list->gpu[row].model);
    out->uuid = known(list->gpu[row].uuid);
    out->driver = known(list->driver);
  }
}

static void write_engine(const struct child_hardware *told, Darkroom__V1__DeviceInfo *out) {
  out->model = told->model[0] != '\0' ? (char *)told->model : out->model;
  out->uuid = told->uuid[0] != '\0' ? (char *)told->uuid : out->uuid;
  out->driver = told->driver[0] != '\0' ? (char *)told->driver : out->driver;
  out->runtime = known(told->runtime);
  out->element = known(told->element);
  out->determinism = known(told->determinism);
  out->has_capability = told->capability != 0;
  out->capability = told->capability;
  out->has_memory_total = told->memory_total != 0;
  out->memory_total = told->memory_total;
}

Darkroom__V1__Devices *device_report(const struct worker *worker, struct arena *arena) {
  size_t count = worker->children.count;
  Darkroom__V1__Devices *devices = arena_take(arena, sizeof *devices);
  Darkroom__V1__DeviceInfo *infos = arena_take(arena, count * sizeof *infos);
  Darkroom__V1__DeviceInfo **list = arena_take(arena, count * sizeof *list);
  if (devices == NULL || infos == NULL || list == NULL) {
    return NULL;
  }
  for (size_t i = 0; i < count; i++) {
    list[i] = &infos[i];
    darkroom__v1__device_info__init(list[i]);
    list[i]->name = (char *)worker->children.child[i].device;
    write_gpu(worker, i, list[i]);
    write_engine(&worker->children.child[i].hardware, list[i]);
    list[i]->state = (char *)hardware_state(worker, i);
    list[i]->reason = known(hardware_reason(worker, i));
  }
  darkroom__v1__devices__init(devices);
  devices->n_device = count;
  devices->device = list;
  return devices;
}

/* Each state is one of a handful, so that four bits a device hold it; never 0, which is what
 * nothing said comes to. */
_Static_assert(DEVICES_MAX * 4 <= 64 && CHILD_CORDONED + 2 < 16, "the states fit");

uint64_t device_report_key(const struct worker *worker) {
  uint64_t key = 0;
  for (size_t i = 0; i < worker->children.count; i++) {
    unsigned state = (unsigned)worker->children.child[i].state + 1;
    key = key << 4 | (worker->hardware.cordon[i].closed ? CHILD_CORDONED + 2 : state);
  }
  return key;
}
