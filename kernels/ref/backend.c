/* backend.c - the ref device: host memory, one thread, nothing to wait for. */
#include <stdlib.h>

#include "kernels/ref/ref.h"

static enum status ref_open(const struct device_settings *settings, const char *which,
                            struct device **out) {
  (void)settings;
  (void)which;
  struct device *device = calloc(1, sizeof *device);
  if (device == NULL) {
    return fail(EXHAUSTED, "no memory for a device");
  }
  for (int i = 0; i < PRECISION_COUNT; i++) {
    device->element[i] = ELEMENT_F32;
  }
  device->threads = 1;
  *out = device;
  return OK;
}

static void ref_close(struct device *device) { free(device); }

const struct backend backend_ref = {
    .name = "ref",
    .open = ref_open,
    .close = ref_close,
    .take = host_take,
    .drop = host_drop,
    .put = host_put,
    .get = host_get,
    .wait = host_wait,
    .weight_close = ref_weight_close,
    .ops =
        {
#define REF_SLOT(name, parameters) .name = ref_##name,
            OPS(REF_SLOT)
#undef REF_SLOT
        },
};
