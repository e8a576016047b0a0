/* adapter_names.h - all the names that adapter files have for a model's modules.
 *
 * They are made from the model's own list and looked up whole: kohya's names have underscores where
 * ours have dots and underscores, so that they cannot be taken apart.
 */
#ifndef DARKROOM_WORKER_MODEL_ADAPTER_NAMES_H
#define DARKROOM_WORKER_MODEL_ADAPTER_NAMES_H

#include <stddef.h>

#include "base/arena.h"
#include "base/status.h"
#include "worker/model/family.h"
#include "worker/model/modules.h"

#define ADAPTER_NAME_BYTES_MAX 256

/* What adapters are read against; all borrowed. */
struct adapter_target {
  const struct module_list *modules;
  const struct unet_facts *unet; /* for the names of the original code */
  const char *family;            /* for messages */
};

/* What a name means. */
struct adapter_name {
  int module;
  int parts; /* 1; or 3: this module and the two behind it, whose rows lie one under another in one
                matrix (OpenCLIP's in_proj) */
};

struct adapter_names;

/* The names live as long as the arena. EXHAUSTED. */
enum status adapter_names_open(const struct adapter_target *target, struct arena *arena,
                               struct adapter_names **out);
/* NULL: no module has this name, of `length` bytes. */
const struct adapter_name *adapter_names_find(const struct adapter_names *names, const char *name,
                                              size_t length);

/* Who is told each name that a module has. */
struct adapter_name_listener {
  enum status (*named)(void *context, const char *name, struct adapter_name meaning);
  void *context;
};
enum status adapter_names_of(const struct adapter_target *target, int module,
                             const struct adapter_name_listener *listener);

#endif
