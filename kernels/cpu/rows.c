/* rows.c - what each row of a batch brings along: adapters, controls, what its model line adds. */
#include <assert.h>

#include "base/limits.h"
#include "kernels/cpu/bodies.h"
#include "kernels/cpu/cpu.h"

/* ---- sums ---- */

enum { PIECE_VALUES = 4096, GRAIN_PIECES = 16 };

enum status cpu_add_rows(struct device *device, const struct batch_row *rows, int64_t first,
                         const struct tensor *x, const struct tensor *y) {
  struct cpu *cpu = cpu_of(device);
  const struct add_rows arguments = {rows, first, x, y};
  cpu->bodies->add_rows(&arguments, 0, x->shape[0]); /* too little to wake a thread for */
  return OK;
}

static enum status add_scaled(struct cpu *cpu, struct scaled *scaled) {
  const struct tensor *y = scaled->y;
  scaled->each = tensor_count(y) / y->shape[0];
  scaled->piece = PIECE_VALUES;
  scaled->pieces = (scaled->each + PIECE_VALUES - 1) / PIECE_VALUES;
  cpu_parallel(cpu, cpu->bodies->add_scaled, scaled, y->shape[0] * scaled->pieces, GRAIN_PIECES);
  return OK;
}

enum status cpu_control_add(struct device *device, const struct batch_control *controls, int skip,
                            const struct tensor *x, const struct tensor *y) {
  struct scaled scaled = {.y = y};
  size_t each = tensor_bytes(x) / (size_t)x->shape[0];
  for (int64_t b = 0; b < y->shape[0]; b++) {
    scaled.scale[b] = controls[b].scale[skip];
    scaled.x[b] = scaled.scale[b] != 0 ? (const char *)x->data + (size_t)b * each : NULL;
  }
  return add_scaled(cpu_of(device), &scaled);
}

enum status cpu_hint_add(struct device *device, const struct batch_control *controls,
                         const struct tensor *y) {
  struct scaled scaled = {.y = y};
  for (int64_t b = 0; b < y->shape[0]; b++) {
    scaled.scale[b] = 1;
    scaled.x[b] = controls[b].hint;
  }
  return add_scaled(cpu_of(device), &scaled);
}

/* ---- adapters ---- */

#define JOBS_MAX (BATCH_ROWS_MAX * ADAPTED_TOGETHER_MAX)
#define PACKED_BYTES_MAX ((int64_t)8 << 20) /* of adapters at a time: they stay in the caches */
enum { ADAPT_PRODUCTS = 3000000 };          /* of a piece of work at least */

static int64_t in_units(int64_t values, enum element element) {
  return element == ELEMENT_F32 ? values : (values + 1) / 2;
}

/* Floats of the packed matrices of a rank; up to 16 lanes. */
static int64_t down_floats(const struct adapt *a, int64_t rank) {
  return whole_panels(rank) * in_units(a->inputs, a->element);
}
static int64_t up_floats(const struct adapt *a, int64_t rank) {
  return whole_panels(a->outputs) * in_units(rank, a->element);
}

/* One of jobs [0, count) whose adapter is the same. Rows of one image have the same. */
static const struct adapt_job *find_same(const struct adapt_job *jobs, int count,
                                         const struct adapter_module *module) {
  for (int i = 0; i < count; i++) {
    const struct adapter_module *other = jobs[i].module;
    if (other->down == module->down && other->up == module->up && other->rank == module->rank) {
      return &jobs[i];
    }
  }
  return NULL;
}

/* The rows that have something to add, module by module. */
static int list_jobs(const struct adapt *a, const struct batch_row *rows, struct modules modules,
                     const struct tensor *operands[2], struct adapt_job *jobs) {
  const struct tensor *x = operands[0], *y = operands[1];
  size_t x_bytes = tensor_bytes(x) / (size_t)x->shape[0],
         y_bytes = tensor_bytes(y) / (size_t)y->shape[0];
  int count = 0;
  for (int m = 0; m < modules.count; m++) {
    size_t column = (size_t)(m * a->outputs) * element_bytes(a->y_element);
    for (int64_t b = 0; b < x->shape[0]; b++) {
      if (rows[b].adapters != NULL && rows[b].adapters[modules.first + m].rank > 0) {
        const struct adapter_module *module = &rows[b].adapters[modules.first + m];
        assert(module->rank <= ADAPTER_RANK_MAX);
        jobs[count++] = (struct adapt_job){.x = (const char *)x->data + (size_t)b * x_bytes,
                                           .y = (char *)y->data + (size_t)b * y_bytes + column,
                                           .module = module};
      }
    }
  }
  return count;
}

/* As many of the jobs as fit get their place in packed memory, one at least: how many, and the
 * floats of all. */
static int place_jobs(const struct adapt *a, struct adapt_job *jobs, int count, int64_t *floats) {
  int64_t used = 0;
  int placed = 0;
  for (; placed < count; placed++) {
    struct adapt_job *job = &jobs[placed];
    const struct adapt_job *same = find_same(jobs, placed, job->module);
    int64_t down = down_floats(a, job->module->rank), up = up_floats(a, job->module->rank);
    job->packs = same == NULL;
    if (job->packs && placed > 0 && (used + down + up) * 4 > PACKED_BYTES_MAX) {
      break;
    }
    job->down = same != NULL ? same->down : used;
    job->up = same != NULL ? same->up : used + down;
    used += job->packs ? down + up : 0;
  }
  *floats = used;
  return placed;
}

static enum status run_jobs(struct cpu *cpu, struct adapt *a, int count, int64_t floats) {
  a->packed = cpu_scratch(cpu, (size_t)floats * sizeof(float));
  if (a->packed == NULL) {
    return EXHAUSTED;
  }
  int64_t products = a->tokens * (a->inputs + a->outputs) * a->jobs[0].module->rank;
  int64_t grain = ADAPT_PRODUCTS * a->blocks / (products + 1) + 1;
  cpu_parallel(cpu, cpu->bodies->pack_adapters, a, count, grain / a->blocks + 1);
  cpu_parallel(cpu, cpu->bodies->adapt, a, count * a->blocks, grain);
  return OK;
}

enum status cpu_adapt(struct device *device, const struct batch_row *rows, struct modules modules,
                      const struct tensor *x, const struct tensor *y) {
  struct cpu *cpu = cpu_of(device);
  struct adapt_job jobs[JOBS_MAX];
  int64_t width = y->shape[y->rank - 1], inputs = x->shape[x->rank - 1];
  struct adapt a = {.element = x->element,
                    .y_element = y->element,
                    .tokens = x->rank == 3 ? x->shape[1] : 1,
                    .inputs = inputs,
                    .outputs = width / modules.count,
                    .y_step = width};
  a.blocks = (a.tokens + ADAPT_BLOCK - 1) / ADAPT_BLOCK;
  int count = list_jobs(&a, rows, modules, (const struct tensor *[2]){x, y}, jobs);
  for (int done = 0; done < count;) {
    int64_t floats = 0;
    int some = place_jobs(&a, jobs + done, count - done, &floats);
    a.jobs = jobs + done;
    TRY(run_jobs(cpu, &a, some, floats));
    done += some;
  }
  return OK;
}
