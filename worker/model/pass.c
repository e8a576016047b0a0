/* pass.c - ops that know whether to compute. */
#include "worker/model/pass.h"

#include <assert.h>
#include <sys/mman.h>

#define DRY_BYTES_MAX ((size_t)1 << 44)

enum status pass_take(const struct pass *pass, int rank, const int64_t *shape, struct tensor *out) {
  return tensor_take(pass->arena, pass->element, rank, shape, out);
}

enum status pass_take_as(const struct pass *pass, enum element element, int rank,
                         const int64_t *shape, struct tensor *out) {
  return tensor_take(pass->arena, element, rank, shape, out);
}

/* ---- addresses without memory ---- */

static void *reserve(void *context, size_t bytes) {
  (void)context;
  void *range = mmap(NULL, bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  return range == MAP_FAILED ? NULL : range;
}

static void unreserve(void *context, void *range, size_t bytes) {
  (void)context;
  munmap(range, bytes);
}

enum status pass_dry_arena(struct arena **out) {
  static const struct arena_source addresses = {reserve, unreserve, NULL};
  return arena_open(&addresses, DRY_BYTES_MAX, out);
}

/* ---- ops ---- */

/* The first module of a layer beside which adapters run; -1: none. Whose activation is part of the
 * product is left out where it is not known to be changed: adapters that change it have weights of
 * their own (adapter_side.c), so no row has anything to add. */
static int module_beside(const struct pass *pass, const struct weight *w,
                         const struct matmul_options *options) {
  if (pass->adapted == NULL) {
    return -1;
  }
  int first = modules_holding(pass->modules, w);
  if (first < 0) {
    return -1;
  }
  if (pass->touched == NULL) {
    return options == NULL || options->activation == ACTIVATION_NONE ? first : -1;
  }
  for (int i = 0; i < modules_at(pass->modules, first)->parts; i++) {
    if (pass->touched[first + i]) {
      return first;
    }
  }
  return -1;
}

/* The product, what adapters add to it, and what bends the sum. */
static enum status matmul_beside(const struct pass *pass, const struct tensor *x,
                                 const struct weight *w, int module,
                                 const struct matmul_options *options, const struct tensor *y) {
  struct matmul_options straight = options != NULL ? *options : (struct matmul_options){0};
  enum activation activation = straight.activation;
  struct modules modules = {module, modules_at(pass->modules, module)->parts};
  assert(activation == ACTIVATION_NONE || straight.residual == NULL);
  straight.activation = ACTIVATION_NONE;
  TRY(op_matmul(pass->device, x, w, &straight, y));
  TRY(op_adapt(pass->device, pass->adapted, modules, x, y));
  return activation == ACTIVATION_NONE ? OK : op_activate(pass->device, activation, y, y);
}

enum status pass_matmul(const struct pass *pass, const struct tensor *x, const struct weight *w,
                        const struct matmul_options *options, const struct tensor *y) {
  if (pass->dry) {
    return OK;
  }
  int module = module_beside(pass, w, options);
  return module >= 0 ? matmul_beside(pass, x, w, module, options, y)
                     : op_matmul(pass->device, x, merged_weight(pass->merged, w), options, y);
}

enum status pass_conv(const struct pass *pass, const struct tensor *x, const struct weight *w,
                      const struct conv_options *options, const struct tensor *y) {
  return pass->dry ? OK : op_conv2d(pass->device, x, merged_weight(pass->merged, w), options, y);
}

enum status pass_group_norm(const struct pass *pass, const struct tensor *x,
                            const struct norm *norm, bool silu, const struct tensor *y) {
  return pass->dry ? OK : op_group_norm(pass->device, x, merged_norm(pass->merged, norm), silu, y);
}

enum status pass_layer_norm(const struct pass *pass, const struct tensor *x,
                            const struct norm *norm, const struct tensor *y) {
  return pass->dry ? OK : op_layer_norm(pass->device, x, merged_norm(pass->merged, norm), y);
}

enum status pass_attention(const struct pass *pass, const struct attention *attention,
                           const struct tensor *y) {
  return pass->dry ? OK : op_attention(pass->device, attention, y);
}

enum status pass_geglu(const struct pass *pass, const struct tensor *x, const struct tensor *y) {
  return pass->dry ? OK : op_geglu(pass->device, x, y);
}

enum status pass_concat(const struct pass *pass, const struct tensor *a, const struct tensor *b,
                        const struct tensor *y) {
  return pass->dry ? OK : op_concat(pass->device, a, b, y);
}

enum status pass_upsample(const struct pass *pass, const struct tensor *x, const struct tensor *y) {
  return pass->dry ? OK : op_upsample(pass->device, x, y);
}

enum status pass_upsample_conv(const struct pass *pass, const struct tensor *x,
                               const struct weight *w, const struct tensor *y) {
  return pass->dry ? OK : op_upsample_conv(pass->device, x, merged_weight(pass->merged, w), y);
}

enum status pass_activate(const struct pass *pass, enum activation activation,
                          const struct tensor *x, const struct tensor *y) {
  return pass->dry ? OK : op_activate(pass->device, activation, x, y);
}

enum status pass_gather(const struct pass *pass, const struct batch_row *rows, int64_t channels,
                        const struct tensor *y) {
  return pass->dry ? OK : op_gather(pass->device, rows, channels, y);
}

enum status pass_control_add(const struct pass *pass, const struct batch_control *controls,
                             int skip, const struct tensor *x, const struct tensor *y) {
  return pass->dry ? OK : op_control_add(pass->device, controls, skip, x, y);
}

enum status pass_hint_add(const struct pass *pass, const struct batch_control *controls,
                          const struct tensor *y) {
  return pass->dry ? OK : op_hint_add(pass->device, controls, y);
}
