/* rows.c - what each row of a batch brings along: adapters, controls, what its model line adds. */
#include <assert.h>

#include "base/limits.h"
#include "kernels/ref/ref.h"

/* ---- adapters ---- */

/* y[O] += up[O, rank] (down[rank, I] x[I]) */
static void adapt_token(const struct adapter_module *m, const float *x, int64_t inputs, float *y,
                        int64_t outputs) {
  float inner[ADAPTER_RANK_MAX];
  const float *down = m->down, *up = m->up;
  for (int64_t r = 0; r < m->rank; r++) {
    inner[r] = 0;
    for (int64_t i = 0; i < inputs; i++) {
      inner[r] += down[r * inputs + i] * x[i];
    }
  }
  for (int64_t o = 0; o < outputs; o++) {
    float sum = 0;
    for (int64_t r = 0; r < m->rank; r++) {
      sum += up[o * m->rank + r] * inner[r];
    }
    y[o] += sum;
  }
}

enum status ref_adapt(struct device *device, const struct batch_row *rows, struct modules modules,
                      const struct tensor *x, const struct tensor *y) {
  (void)device;
  int64_t inputs = x->shape[x->rank - 1], all = y->shape[y->rank - 1];
  int64_t outputs = all / modules.count, tokens = tensor_count(x) / inputs / x->shape[0];
  for (int64_t t = 0; t < x->shape[0] * tokens; t++) {
    const struct adapter_module *adapters = rows[t / tokens].adapters;
    for (int m = 0; m < modules.count && adapters != NULL; m++) {
      const struct adapter_module *module = &adapters[modules.first + m];
      assert(module->rank <= ADAPTER_RANK_MAX);
      if (module->rank > 0) {
        adapt_token(module, values(x) + t * inputs, inputs, values(y) + t * all + m * outputs,
                    outputs);
      }
    }
  }
  return OK;
}

/* ---- sums ---- */

enum status ref_add_rows(struct device *device, const struct batch_row *rows, int64_t first,
                         const struct tensor *x, const struct tensor *y) {
  (void)device;
  int64_t width = x->shape[1];
  for (int64_t i = 0; i < tensor_count(x); i++) {
    const float *added = rows[i / width].added;
    float sum = values(x)[i] + (added != NULL ? added[first + i % width] : 0);
    values(y)[i] = ref_activation(sum, ACTIVATION_SILU);
  }
  return OK;
}

enum status ref_control_add(struct device *device, const struct batch_control *controls, int skip,
                            const struct tensor *x, const struct tensor *y) {
  (void)device;
  int64_t each = tensor_count(y) / y->shape[0];
  for (int64_t i = 0; i < tensor_count(y); i++) {
    float scale = controls[i / each].scale[skip];
    if (scale != 0) {
      values(y)[i] += scale * values(x)[i];
    }
  }
  return OK;
}

enum status ref_hint_add(struct device *device, const struct batch_control *controls,
                         const struct tensor *y) {
  (void)device;
  int64_t each = tensor_count(y) / y->shape[0];
  for (int64_t i = 0; i < tensor_count(y); i++) {
    const float *hint = controls[i / each].hint;
    if (hint != NULL) {
      values(y)[i] += hint[i % each];
    }
  }
  return OK;
}
