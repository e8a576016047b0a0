/* op_table.h - the slots that every backend fills. Part of backend.h. */
#ifndef DARKROOM_KERNELS_OP_TABLE_H
#define DARKROOM_KERNELS_OP_TABLE_H

#include "kernels/ops.h"

/* Every slot of a backend's row: X(name, parameters). All return enum status. */
#define OPS(X)                                                                                     \
  X(pack, (struct device *, const struct weight_source *, struct weight **))                       \
  X(matmul, (struct device *, const struct tensor *x, const struct weight *,                       \
             const struct matmul_options *, const struct tensor *y))                               \
  X(conv2d, (struct device *, const struct tensor *x, const struct weight *,                       \
             const struct conv_options *, const struct tensor *y))                                 \
  X(group_norm, (struct device *, const struct tensor *x, const struct norm *, bool silu,          \
                 const struct tensor *y))                                                          \
  X(layer_norm,                                                                                    \
    (struct device *, const struct tensor *x, const struct norm *, const struct tensor *y))        \
  X(attention, (struct device *, const struct attention *, const struct tensor *y))                \
  X(geglu, (struct device *, const struct tensor *x, const struct tensor *y))                      \
  X(concat,                                                                                        \
    (struct device *, const struct tensor *a, const struct tensor *b, const struct tensor *y))     \
  X(upsample, (struct device *, const struct tensor *x, const struct tensor *y))                   \
  X(upsample_conv,                                                                                 \
    (struct device *, const struct tensor *x, const struct weight *, const struct tensor *y))      \
  X(timestep_embedding, (struct device *, const struct batch_row *rows, const struct tensor *y))   \
  X(adapt, (struct device *, const struct batch_row *rows, struct modules, const struct tensor *x, \
            const struct tensor *y))                                                               \
  X(embed,                                                                                         \
    (struct device *, const struct words *, const struct tensor *ids, const struct tensor *y))     \
  X(activate, (struct device *, enum activation, const struct tensor *x, const struct tensor *y))  \
  X(add_rows, (struct device *, const struct batch_row *rows, int64_t first,                       \
               const struct tensor *x, const struct tensor *y))                                    \
  X(control_add, (struct device *, const struct batch_control *controls, int skip,                 \
                  const struct tensor *x, const struct tensor *y))                                 \
  X(hint_add, (struct device *, const struct batch_control *controls, const struct tensor *y))     \
  X(weigh, (struct device *, const struct tensor *weights, const struct tensor *x))                \
  X(posterior, (struct device *, const struct tensor *moments, const struct tensor *noise,         \
                float scale, const struct tensor *y))                                              \
  X(gather,                                                                                        \
    (struct device *, const struct batch_row *rows, int64_t channels, const struct tensor *y))     \
  X(advance, (struct device *, const struct batch_sample *samples, int count,                      \
              const struct tensor *prediction, const struct tensor *finite))                       \
  X(pixels, (struct device *, const struct tensor *x, const struct tensor *y))                     \
  X(finite, (struct device *, const struct tensor *x, const struct tensor *finite))

struct ops {
#define OPS_SLOT(name, parameters) enum status(*name) parameters;
  OPS(OPS_SLOT)
#undef OPS_SLOT
};
enum {
#define OPS_INDEX(name, parameters) OP_##name,
  OPS(OPS_INDEX)
#undef OPS_INDEX
      OPS_COUNT
};
_Static_assert(sizeof(struct ops) == OPS_COUNT * sizeof(void (*)(void)),
               "slots are plain pointers, one after another");

#endif
