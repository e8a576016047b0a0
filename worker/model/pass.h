/* pass.h - one pass through a network: where its scratch comes from, and the ops it calls.
 *
 * A dry pass takes the same memory from an arena of addresses without memory and computes nothing:
 * so the scratch that a pass needs is known from the very code that will use it.
 */
#ifndef DARKROOM_WORKER_MODEL_PASS_H
#define DARKROOM_WORKER_MODEL_PASS_H

#include <stdbool.h>

#include "base/arena.h"
#include "base/status.h"
#include "kernels/ops.h"
#include "worker/model/merged.h"
#include "worker/model/modules.h"

struct pass {
  struct device *device;
  struct arena *arena;
  enum element element; /* of the network's activations */
  bool dry;
  /* what adapters do, see adapter.h; all NULL: there are none */
  const struct module_list *modules; /* of the network, and of others */
  const struct merged *merged;       /* weights and norms in place of the model's */
  const struct batch_row *adapted; /* rows on the device whose adapters run beside linear layers */
  const bool *touched;             /* by module: whether any of them changes it; NULL: unknown */
};

/* Activations from the pass's arena. */
enum status pass_take(const struct pass *pass, int rank, const int64_t *shape, struct tensor *out);
enum status pass_take_as(const struct pass *pass, enum element element, int rank,
                         const int64_t *shape, struct tensor *out);

/* An arena for a dry pass: any size, no memory. The caller closes it. */
enum status pass_dry_arena(struct arena **out);

/* The ops of kernels/ops.h, or nothing in a dry pass. */
enum status pass_matmul(const struct pass *pass, const struct tensor *x, const struct weight *w,
                        const struct matmul_options *options, const struct tensor *y);
enum status pass_conv(const struct pass *pass, const struct tensor *x, const struct weight *w,
                      const struct conv_options *options, const struct tensor *y);
enum status pass_group_norm(const struct pass *pass, const struct tensor *x,
                            const struct norm *norm, bool silu, const struct tensor *y);
enum status pass_layer_norm(const struct pass *pass, const struct tensor *x,
                            const struct norm *norm, const struct tensor *y);
enum status pass_attention(const struct pass *pass, const struct attention *attention,
                           const struct tensor *y);
enum status pass_geglu(const struct pass *pass, const struct tensor *x, const struct tensor *y);
enum status pass_concat(const struct pass *pass, const struct tensor *a, const struct tensor *b,
                        const struct tensor *y);
enum status pass_upsample_conv(const struct pass *pass, const struct tensor *x,
                               const struct weight *w, const struct tensor *y);
enum status pass_upsample(const struct pass *pass, const struct tensor *x, const struct tensor *y);
enum status pass_activate(const struct pass *pass, enum activation activation,
                          const struct tensor *x, const struct tensor *y);
enum status pass_gather(const struct pass *pass, const struct batch_row *rows, int64_t channels,
                        const struct tensor *y);
enum status pass_control_add(const struct pass *pass, const struct batch_control *controls,
                             int skip, const struct tensor *x, const struct tensor *y);
enum status pass_hint_add(const struct pass *pass, const struct batch_control *controls,
                          const struct tensor *y);

#endif
