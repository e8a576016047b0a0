/* key_layout.h - where the networks of a single file lie in it: layouts, told apart by what their
 * keys begin with.
 */
#ifndef DARKROOM_WORKER_MODEL_KEY_LAYOUT_H
#define DARKROOM_WORKER_MODEL_KEY_LAYOUT_H

#include <stdbool.h>

#include "worker/model/key_map.h"
#include "worker/model/safetensors.h"
#include "worker/model/source.h"

#define LAYOUT_PLACES_MAX 5

/* Keys of a network: they begin with the prefix, and what follows is translated by the rules. */
struct key_place {
  enum network network; /* NETWORK_NONE ends a list */
  const char *prefix;
  const struct key_rule *rules;
};
struct key_layout {
  const char *family; /* of a model, as in families.c; NULL: of something else */
  const char *mark;   /* a key of the file begins with it */
  struct key_place place[LAYOUT_PLACES_MAX];
};

/* The layout of a file that has that network in it; family: only that one, NULL: any. NULL when no
 * layout fits. The order is that in which diffusers tells files apart. */
const struct key_layout *key_layout_find(const struct safetensors *file, enum network network,
                                         const char *family);
/* Where the network lies in the file; NULL when it is not there. */
const struct key_place *key_layout_place(const struct key_layout *layout,
                                         const struct safetensors *file, enum network network);
/* How a diffusers folder names what is in a network's own file. */
const struct key_place *key_place_in_folder(enum network network);

/* Whether a key of the file begins so. */
bool key_begins(const struct safetensors *file, const char *prefix);
/* What the numbers in the network's names depend on. */
struct key_sizes key_sizes_of(const struct safetensors *file, const char *prefix);

/* Whether the key belongs to a network of the layout, or is known and of no use: numbers of the
 * training's noise, averaged copies, temperatures. */
bool key_is_known(const struct key_layout *layout, const char *key);

/* The key of the averaged copy of a U-Net's tensor (CompVis' LitEma: dots left out). */
void key_averaged(const char *key, char out[SAFETENSORS_NAME_BYTES_MAX + 1]);

#endif
