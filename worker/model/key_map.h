/* key_map.h - names of tensors from one way of writing to another, by tables of rules.
 *
 * A rule is a beginning of a name and what stands in its place. Rules of a table are tried in their
 * order; the first that fits decides, also of what follows, by a table of its own or as it stands.
 * So the names of a whole network are a few rows (key_rules.h), and whoever has a name with other
 * separators (adapters) uses the same rows.
 */
#ifndef DARKROOM_WORKER_MODEL_KEY_MAP_H
#define DARKROOM_WORKER_MODEL_KEY_MAP_H

#include <stdbool.h>
#include <stddef.h>

#include "base/limits.h"

/* What becomes of the numbers of `from`, in their order, before they stand in `to`. With L residual
 * blocks a level and n levels: */
enum key_count {
  COUNT_AS_IS,
  COUNT_DOWN, /* i -> (i - 1) / (L + 1), (i - 1) % (L + 1): counted through, on the way down */
  COUNT_UP,   /* i -> i / (L + 1), i % (L + 1): on the way up */
  COUNT_BACK, /* i, j -> n - 1 - i, j: levels counted from the other end */
  COUNT_HALF, /* i -> i / 2 - 1: every other layer has no weights */
  COUNT_LESS, /* i -> i - 1 */
};
/* How the tensor lies in the file. */
enum key_form {
  KEY_PLAIN,
  KEY_TURNED, /* transposed */
  KEY_THIRDS, /* three tensors on top of each other: '*' of `to` is q, then k, then v */
};
struct key_rule {
  const char *from; /* ends where a part of the name ends; '#' is any number, '$' the last one */
  const char *to;   /* NULL: known, and not needed */
  const struct key_rule *rest; /* for what follows; NULL: it stands as it is */
  enum key_count count;
  enum key_form form;
};

/* What the numbers depend on. */
struct key_sizes {
  int layers; /* L */
  int levels; /* n */
  int last;   /* what '$' is */
};

enum key_outcome {
  KEY_UNKNOWN, /* no rule fits */
  KEY_DROPPED,
  KEY_NAMED
};
struct key_name {
  char text[SAFETENSORS_NAME_BYTES_MAX + 1];
  enum key_form form;
};

/* The name by the rules, a table that ends with a row without `from`. separator is what stands
 * between the parts of the name and of the result: '.', or '_' as in adapters. A name that would
 * become too long is unknown. */
enum key_outcome key_translate(const struct key_rule *rules, const struct key_sizes *sizes,
                               const char *name, char separator, struct key_name *out);

/* Whether a name begins with `from` (as in a rule without '$'); gives the first '#'. */
bool key_number(const char *from, const char *name, char separator, int *out);

#endif
