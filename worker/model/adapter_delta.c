/* adapter_delta.c - what a change adds to a kernel, in f32 on the host. */
#include <assert.h>
#include <float.h>
#include <math.h>
#include <string.h>

#include "base/progress.h"
#include "worker/model/adapter_change.h"

/* So that a row of zeros has a direction. */
#define NORM_MIN 1e-12f
#define F16_MAX 65504.0f
#define ALIGNMENT 64 /* the arena's */

int64_t change_window(const struct module *module) { return module->kind == MODULE_CONV ? 9 : 1; }

int64_t change_columns(const struct module *module) {
  return module->kind == MODULE_NORM ? 1 : module->inputs * change_window(module);
}

enum status change_values(const struct tensor *tensor, struct arena *arena, float **out) {
  float *values = arena_take(arena, (size_t)tensor_count(tensor) * sizeof *values);
  if (values == NULL) {
    return EXHAUSTED;
  }
  elements_to_f32(tensor->element, tensor->data, tensor_count(tensor), values);
  *out = values;
  return OK;
}

bool change_fits(enum element element, const float *values, int64_t count) {
  float most = element == ELEMENT_F16 ? F16_MAX : FLT_MAX;
  for (int64_t i = 0; i < count; i++) {
    if (!(fabsf(values[i]) <= most)) { /* and NAN */
      return false;
    }
  }
  return true;
}

/* ---- products ---- */

/* A matrix on the host, rows one after another. */
struct grid {
  float *value;
  int64_t rows, columns;
};

static enum status take_grid(struct arena *arena, int64_t rows, int64_t columns, struct grid *out) {
  struct grid grid = {arena_take(arena, (size_t)(rows * columns) * sizeof(float)), rows, columns};
  if (grid.value == NULL) {
    return EXHAUSTED;
  }
  memset(grid.value, 0, (size_t)(rows * columns) * sizeof(float));
  *out = grid;
  return OK;
}

/* The tensor as so many rows. */
static enum status grid_of(const struct tensor *tensor, int64_t rows, struct arena *arena,
                           struct grid *out) {
  struct grid grid = {NULL, rows, tensor_count(tensor) / rows};
  TRY(change_values(tensor, arena, &grid.value));
  *out = grid;
  return OK;
}

/* A large product takes seconds: others go on in between. */
static enum status rest(const struct loader_pauses *pauses) {
  progress_count();
  return pauses != NULL ? pauses->between(pauses->context) : OK;
}

/* Two matrices, and who may stop their product. */
struct product {
  const struct grid *a, *b;
  const struct loader_pauses *pauses;
};

/* out += scale a b, row by row, so that the inner loop runs along rows. */
static enum status add_product(const struct product *product, float scale, const struct grid *out) {
  const struct grid *a = product->a, *b = product->b;
  assert(a->columns == b->rows && a->rows == out->rows && b->columns == out->columns);
  for (int64_t row = 0; row < a->rows; row++) {
    float *restrict to = out->value + row * out->columns;
    TRY(rest(product->pauses));
    for (int64_t k = 0; k < a->columns; k++) {
      const float *restrict from = b->value + k * b->columns;
      float factor = scale * a->value[row * a->columns + k];
      for (int64_t i = 0; i < b->columns; i++) {
        to[i] += factor * from[i];
      }
    }
  }
  return OK;
}

static enum status transpose(const struct grid *from, struct arena *arena, struct grid *out) {
  struct grid grid;
  TRY(take_grid(arena, from->columns, from->rows, &grid));
  for (int64_t i = 0; i < from->rows; i++) {
    for (int64_t j = 0; j < from->columns; j++) {
      grid.value[j * from->rows + i] = from->value[i * from->columns + j];
    }
  }
  *out = grid;
  return OK;
}

/* ---- each kind: out += scale times its product, out [O, I K] ---- */

struct adding {
  const struct change *change;
  int64_t window;
  float scale;
  struct arena *arena;
  const struct loader_pauses *pauses;
};

/* core [r, r', K] over its middle: out[r, I, K] = sum over r' of core[r, r', K] b[r', I]. */
static enum status spread(const struct adding *adding, const struct grid *core,
                          const struct grid *b, struct grid *out) {
  int64_t window = adding->window;
  struct grid grid;
  TRY(take_grid(adding->arena, core->rows, b->columns * window, &grid));
  assert(core->columns == b->rows * window);
  for (int64_t r = 0; r < core->rows; r++) {
    TRY(rest(adding->pauses));
    for (int64_t j = 0; j < b->rows; j++) {
      for (int64_t i = 0; i < b->columns; i++) {
        for (int64_t k = 0; k < window; k++) {
          grid.value[r * grid.columns + i * window + k] +=
              core->value[r * core->columns + j * window + k] * b->value[j * b->columns + i];
        }
      }
    }
  }
  *out = grid;
  return OK;
}

static enum status part_grid(const struct adding *adding, enum change_part part, struct grid *out) {
  const struct tensor *tensor = &adding->change->part[part];
  return grid_of(tensor, tensor->shape[0], adding->arena, out);
}

static bool has(const struct adding *adding, enum change_part part) {
  return adding->change->part[part].data != NULL;
}

static enum status add_low_rank(const struct adding *adding, const struct grid *out) {
  struct grid up, down, mid, whole;
  TRY(part_grid(adding, PART_UP, &up));
  TRY(part_grid(adding, PART_DOWN, &down));
  if (has(adding, PART_MID)) {
    TRY(part_grid(adding, PART_MID, &mid));
    TRY(spread(adding, &mid, &down, &whole));
    down = whole;
  }
  return add_product(&(struct product){&up, &down, adding->pauses}, adding->scale, out);
}

/* One of the two products of a Hadamard product, a then b in the table of parts. */
static enum status half(const struct adding *adding, enum change_part a, enum change_part t,
                        const struct grid *out) {
  struct grid w_a, w_b, core, turned, whole;
  TRY(part_grid(adding, a, &w_a));
  TRY(part_grid(adding, a + 1, &w_b));
  if (has(adding, t)) {
    TRY(part_grid(adding, t, &core));
    TRY(spread(adding, &core, &w_b, &whole));
    TRY(transpose(&w_a, adding->arena, &turned));
    w_a = turned;
    w_b = whole;
  }
  return add_product(&(struct product){&w_a, &w_b, adding->pauses}, 1, out);
}

static enum status add_hadamard(const struct adding *adding, const struct grid *out) {
  struct grid first, second;
  TRY(take_grid(adding->arena, out->rows, out->columns, &first));
  TRY(take_grid(adding->arena, out->rows, out->columns, &second));
  TRY(half(adding, PART_HADA_W1_A, PART_HADA_T1, &first));
  TRY(half(adding, PART_HADA_W2_A, PART_HADA_T2, &second));
  for (int64_t i = 0; i < out->rows * out->columns; i++) {
    out->value[i] += adding->scale * first.value[i] * second.value[i];
  }
  return OK;
}

/* A factor of a Kronecker product, put together: whole, a and b in the table of parts. */
static enum status factor(const struct adding *adding, enum change_part whole, struct grid *out) {
  struct grid a, b, turned, core, spreaded, grid;
  if (has(adding, whole)) {
    return part_grid(adding, whole, out);
  }
  TRY(part_grid(adding, whole + 1, &a));
  TRY(part_grid(adding, whole + 2, &b));
  if (whole == PART_LOKR_W2 && has(adding, PART_LOKR_T2)) {
    TRY(part_grid(adding, PART_LOKR_T2, &core));
    TRY(spread(adding, &core, &b, &spreaded));
    TRY(transpose(&a, adding->arena, &turned));
    a = turned;
    b = spreaded;
  }
  TRY(take_grid(adding->arena, a.rows, b.columns, &grid));
  TRY(add_product(&(struct product){&a, &b, adding->pauses}, 1, &grid));
  *out = grid;
  return OK;
}

static enum status add_kronecker(const struct adding *adding, const struct grid *out) {
  struct grid w1, w2;
  TRY(factor(adding, PART_LOKR_W1, &w1));
  TRY(factor(adding, PART_LOKR_W2, &w2));
  assert(w1.rows * w2.rows == out->rows && w1.columns * w2.columns == out->columns);
  for (int64_t row = 0; row < out->rows; row++) {
    TRY(rest(adding->pauses));
    const float *from = w2.value + row % w2.rows * w2.columns;
    for (int64_t column = 0; column < w1.columns; column++) {
      float *to = out->value + row * out->columns + column * w2.columns;
      float scaled = adding->scale * w1.value[row / w2.rows * w1.columns + column];
      for (int64_t i = 0; i < w2.columns; i++) {
        to[i] += scaled * from[i];
      }
    }
  }
  return OK;
}

static enum status add_whole(const struct adding *adding, const struct grid *out) {
  struct grid diff;
  if (!has(adding, PART_DIFF)) {
    return OK;
  }
  TRY(part_grid(adding, PART_DIFF, &diff));
  for (int64_t i = 0; i < out->rows * out->columns; i++) {
    out->value[i] += adding->scale * diff.value[i];
  }
  return OK;
}

static enum status (*const adds[])(const struct adding *adding, const struct grid *out) = {
    [CHANGE_LOW_RANK] = add_low_rank,
    [CHANGE_HADAMARD] = add_hadamard,
    [CHANGE_KRONECKER] = add_kronecker,
    [CHANGE_WHOLE] = add_whole};

/* ---- DoRA ---- */

/* Which values of a kernel share a magnitude: those of an output, or of an input. */
static int64_t group_of(const struct adding *adding, const struct grid *grid, int64_t i) {
  return adding->change->on_input ? i % grid->columns / adding->window : i / grid->columns;
}

/* With W' = base + scale times the product, and its lengths |W'| per output (or input): out +=
 * weight (magnitude W' / |W'| - base). So it grows in proportion to the weight, is all of the
 * adapter's own at 1 and nothing at 0. (Liu et al. 2024, 4.1; PEFT at weight 1) */
static enum status add_direction(const struct adding *adding, float weight, const float *base,
                                 const struct grid *out) {
  int64_t groups = adding->change->on_input ? out->columns / adding->window : out->rows;
  int64_t count = out->rows * out->columns;
  struct grid changed, lengths;
  float *magnitude = NULL;
  TRY(take_grid(adding->arena, out->rows, out->columns, &changed));
  TRY(take_grid(adding->arena, 1, groups, &lengths));
  TRY(change_values(&adding->change->part[PART_DORA], adding->arena, &magnitude));
  memcpy(changed.value, base, (size_t)count * sizeof *base);
  TRY(adds[adding->change->kind](adding, &changed));
  for (int64_t i = 0; i < count; i++) {
    lengths.value[group_of(adding, out, i)] += changed.value[i] * changed.value[i];
  }
  for (int64_t i = 0; i < groups; i++) {
    magnitude[i] /= fmaxf(sqrtf(lengths.value[i]), NORM_MIN);
  }
  for (int64_t i = 0; i < count; i++) {
    out->value[i] += weight * (magnitude[group_of(adding, out, i)] * changed.value[i] - base[i]);
  }
  return OK;
}

/* ---- all ---- */

enum status change_add(const struct change *change, const struct module *module, float weight,
                       const float *base, const struct change_room *room, float *delta) {
  struct arena_mark mark = arena_mark(room->scratch);
  struct adding adding = {change, change_window(module), change->scale, room->scratch,
                          room->pauses};
  struct grid out = {.rows = module->outputs};
  out.value = delta;
  out.columns = change_columns(module);
  enum status status = OK;
  if (change->part[PART_DORA].data != NULL) {
    status = add_direction(&adding, weight, base, &out);
  } else {
    adding.scale *= weight;
    status = adds[change->kind](&adding, &out);
  }
  arena_release(room->scratch, mark);
  return status;
}

enum status change_add_bias(const struct change *change, const struct module *module, float weight,
                            struct arena *scratch, float *bias) {
  const struct tensor *diff = &change->part[PART_DIFF_BIAS];
  struct arena_mark mark = arena_mark(scratch);
  float *values = NULL;
  if (diff->data == NULL) {
    return OK;
  }
  TRY(change_values(diff, scratch, &values));
  for (int64_t i = 0; i < module->outputs; i++) {
    bias[i] += weight * values[i];
  }
  arena_release(scratch, mark);
  return OK;
}

/* Values of what it is made of and of what that is turned or spread to, and of all that is as large
 * as the kernel: both halves of a Hadamard product, or what has a direction. */
size_t change_scratch_bytes(const struct change *change, const struct module *module) {
  int64_t columns = change_columns(module);
  int64_t values = 4 * module->outputs * columns;
  for (int part = PART_DORA; part < PARTS; part++) {
    const struct tensor *tensor = &change->part[part];
    bool core =
        part == PART_MID || part == PART_HADA_T1 || part == PART_HADA_T2 || part == PART_LOKR_T2;
    values += tensor->data != NULL ? 2 * tensor_count(tensor) : 0;
    values += tensor->data != NULL && core ? tensor->shape[0] * columns : 0;
  }
  return (size_t)values * sizeof(float) + (size_t)(4 * PARTS) * ALIGNMENT;
}
