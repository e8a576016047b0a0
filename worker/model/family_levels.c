/* family_levels.c - lists that have an entry for every level. */
#include <string.h>

#include "worker/model/family_configs.h"

enum status levels_refuse(const char *name, const char *key, int count, int levels) {
  return fail_field(BAD_INPUT, "config", "%s: %s has %d entries, block_out_channels %d", name, key,
                    count, levels);
}

enum status levels_read(const char *name, const struct config_list *channels, int groups,
                        int *levels, int *out) {
  if (channels->scalar || channels->count < 1 || channels->count > UNET_LEVELS_MAX) {
    return fail_field(BAD_INPUT, "config", "%s: block_out_channels must be a list of 1 to %d", name,
                      UNET_LEVELS_MAX);
  }
  for (int i = 0; i < channels->count; i++) {
    if (channels->value[i] % groups != 0) {
      return fail_field(BAD_INPUT, "config",
                        "%s: %d channels are not a multiple of norm_num_groups %d", name,
                        channels->value[i], groups);
    }
  }
  *levels = channels->count;
  memcpy(out, channels->value, (size_t)channels->count * sizeof *out);
  return OK;
}
