/* library.c - the kept primitives, and whether rows may go into one together.
 *
 * oneDNN chooses its blocking by shape, batch and threads; where it cuts the sum over inputs
 * differently, the bits of a row depend on its batch mates. So one row alone is the definition; a
 * batched primitive is tried once, when it is made, on random values against its rows one by one,
 * and used only if all bits agree (README.md: when they do).
 */
#include "kernels/cpu/library.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "base/progress.h"
#include "kernels/cpu/bands.h"
#include "kernels/cpu/cpu.h"
#include "kernels/cpu/openmp.h"
#include "kernels/cpu/primitive.h"

enum { SETS = 256, WAYS = 8, ARGUMENTS = 5 };

/* A primitive for one problem, batch and weight layout. */
struct entry {
  struct problem problem;
  int64_t batch; /* 0: an empty place */
  layout layout;
  dnnl_primitive_t primitive;
  dnnl_memory_t x, y, bias, scratch;
  size_t scratch_bytes;
  bool slow;    /* oneDNN has only its plain reference code for this batch and layout */
  bool trusted; /* gives each row the bits it has alone */
  uint64_t last_use;
};

struct library {
  dnnl_engine_t engine;
  dnnl_stream_t stream;
  uint64_t clock;
  int64_t work_max; /* of one call */
  struct entry entries[SETS][WAYS];
};

enum status onednn_open(struct library **out) {
  struct library *library = calloc(1, sizeof *library);
  if (library == NULL) {
    return fail(EXHAUSTED, "no memory for oneDNN's cache");
  }
  library->work_max = BAND_WORK_MAX;
  enum status status =
      library_check(dnnl_engine_create(&library->engine, dnnl_cpu, 0), "an engine");
  if (status == OK) {
    status = library_check(
        dnnl_stream_create(&library->stream, library->engine, dnnl_stream_default_flags),
        "a stream");
  }
  if (status != OK) {
    onednn_close(&library);
    return status;
  }
  *out = library;
  return OK;
}

static void empty_entry(struct entry *entry) {
  dnnl_memory_t memories[] = {entry->x, entry->y, entry->bias, entry->scratch};
  for (size_t i = 0; i < sizeof memories / sizeof memories[0]; i++) {
    dnnl_memory_destroy(memories[i]);
  }
  dnnl_primitive_destroy(entry->primitive);
  layout_close(&entry->layout);
  memset(entry, 0, sizeof *entry);
}

void onednn_close(struct library **pointer) {
  struct library *library = *pointer;
  if (library == NULL) {
    return;
  }
  for (int set = 0; set < SETS; set++) {
    for (int i = 0; i < WAYS; i++) {
      empty_entry(&library->entries[set][i]);
    }
  }
  dnnl_stream_destroy(library->stream);
  dnnl_engine_destroy(library->engine);
  free(library);
  *pointer = NULL;
}

void library_cut_at(struct library *library, int64_t work_max) { library->work_max = work_max; }
int64_t library_work_max(const struct library *library) { return library->work_max; }

dnnl_engine_t library_engine(const struct library *library) { return library->engine; }

/* ---- the kept primitives ---- */

static struct entry *set_of(struct library *library, const struct problem *problem, int64_t batch) {
  uint64_t hash = hash_on(HASH_START ^ (uint64_t)batch, problem, sizeof *problem);
  return library->entries[(hash >> 32) % SETS];
}

static struct entry *find_entry(struct entry *set, const struct problem *problem, int64_t batch,
                                const struct packed *packed) {
  for (int i = 0; i < WAYS; i++) {
    if (set[i].batch == batch && memcmp(&set[i].problem, problem, sizeof *problem) == 0 &&
        dnnl_memory_desc_equal(set[i].layout, packed->layout)) {
      return &set[i];
    }
  }
  return NULL;
}

static struct entry *oldest_entry(struct entry *set) {
  struct entry *oldest = &set[0];
  for (int i = 1; i < WAYS; i++) {
    oldest = set[i].last_use < oldest->last_use ? &set[i] : oldest;
  }
  return oldest;
}

static dnnl_status_t make_memory(const struct library *library,
                                 const_dnnl_primitive_desc_t description, dnnl_query_t what,
                                 int index, dnnl_memory_t *out) {
  const_layout of = dnnl_primitive_desc_query_md(description, what, index);
  return dnnl_memory_create(out, of, library->engine, DNNL_MEMORY_NONE);
}

static enum status fill_entry(const struct library *library, struct entry *entry) {
  dnnl_primitive_desc_t description;
  TRY(primitive_describe(library->engine, &entry->problem, entry->batch, entry->layout,
                         &description));
  const_layout scratch = dnnl_primitive_desc_query_md(description, dnnl_query_scratchpad_md, 0);
  entry->scratch_bytes = dnnl_memory_desc_get_size(scratch);
  entry->slow = strstr(primitive_name(description), "ref") != NULL;
  dnnl_status_t status = dnnl_primitive_create(&entry->primitive, description);
  status = status ? status : make_memory(library, description, dnnl_query_src_md, 0, &entry->x);
  status = status ? status : make_memory(library, description, dnnl_query_dst_md, 0, &entry->y);
  status = status ? status
                  : make_memory(library, description, dnnl_query_scratchpad_md, 0, &entry->scratch);
  if (entry->problem.has_bias) {
    status =
        status ? status : make_memory(library, description, dnnl_query_weights_md, 1, &entry->bias);
  }
  dnnl_primitive_desc_destroy(description);
  return library_check(status, "a primitive");
}

static enum status execute(struct cpu *cpu, struct entry *entry, const struct library_run *run,
                           const struct packed *packed) {
  struct library *library = cpu->library;
  void *scratch = cpu_scratch(cpu, entry->scratch_bytes);
  if (scratch == NULL) {
    return EXHAUSTED;
  }
  dnnl_stream_t stream = library->stream;
  dnnl_status_t status = layout_point(entry->x, run->x, stream);
  status = status ? status : layout_point(entry->y, run->y, stream);
  status = status ? status : layout_point(entry->scratch, scratch, stream);
  const dnnl_exec_arg_t arguments[ARGUMENTS] = {{DNNL_ARG_SRC, entry->x},
                                                {DNNL_ARG_WEIGHTS, packed->memory},
                                                {DNNL_ARG_DST, entry->y},
                                                {DNNL_ARG_SCRATCHPAD, entry->scratch},
                                                {DNNL_ARG_BIAS, entry->bias}};
  if (entry->bias != NULL) {
    status = status ? status : layout_point(entry->bias, run->weight->bias, stream);
  }
  int count = entry->bias != NULL ? ARGUMENTS : ARGUMENTS - 1;
  status = status ? status : dnnl_primitive_execute(entry->primitive, stream, count, arguments);
  status = status ? status : dnnl_stream_wait(stream);
  entry->last_use = ++library->clock;
  progress_count();
  return library_check(status, "a primitive's run");
}

/* ---- rows and batches ---- */

static enum status get_entry(struct cpu *cpu, const struct library_run *run, int64_t batch,
                             const struct packed *packed, struct entry **out);

static enum status run_rows(struct cpu *cpu, const struct library_run *run, int64_t batch,
                            const struct packed *packed) {
  struct entry *entry = NULL;
  TRY(get_entry(cpu, run, 1, packed, &entry));
  for (int64_t b = 0; b < batch; b++) {
    struct library_run row = library_from_row(run, b);
    TRY(execute(cpu, entry, &row, packed));
  }
  return OK;
}

/* Values of the kind that nets hold: a few units, both signs. */
static void fill_random(enum element element, void *data, int64_t bytes, uint32_t seed) {
  int64_t count = bytes / (int64_t)element_bytes(element);
  for (int64_t i = 0; i < count; i++) {
    seed = seed * 1664525u + 1013904223u;
    float value = (float)((int32_t)seed >> 8) * 0x1p-22f;
    elements_from_f32(element, &value, 1, (char *)data + i * (int64_t)element_bytes(element));
  }
}

/* Runs batch and rows on the same random values, in `room` for x and twice y. */
static enum status compare_with_rows(struct cpu *cpu, struct entry *entry,
                                     const struct library_run *run, const struct packed *packed,
                                     char *room) {
  int64_t x_bytes = entry->batch * problem_input_bytes(&entry->problem);
  int64_t y_bytes = entry->batch * problem_output_bytes(&entry->problem);
  struct library_run together = *run, apart = *run;
  together.x = apart.x = room;
  together.y = room + x_bytes;
  apart.y = room + x_bytes + y_bytes;
  fill_random(entry->problem.input, room, x_bytes, 1);
  fill_random(entry->problem.output, together.y, y_bytes, 2);
  memcpy(apart.y, together.y, (size_t)y_bytes);
  TRY(execute(cpu, entry, &together, packed));
  TRY(run_rows(cpu, &apart, entry->batch, packed));
  entry->trusted = memcmp(together.y, apart.y, (size_t)y_bytes) == 0;
  return OK;
}

/* Without memory for the trial the rows go one by one: slower, never different. */
static enum status try_entry(struct cpu *cpu, struct entry *entry, const struct library_run *run,
                             const struct packed *packed) {
  if (entry->batch == 1) {
    entry->trusted = true;
    return OK;
  }
  if (entry->slow) {
    return OK;
  }
  size_t bytes = (size_t)(entry->batch * (problem_input_bytes(run->problem) +
                                          2 * problem_output_bytes(run->problem)));
  char *room = device_take(&cpu->head, bytes);
  if (room == NULL) {
    return OK;
  }
  enum status status = compare_with_rows(cpu, entry, run, packed, room);
  device_drop(&cpu->head, room, bytes);
  return status;
}

static enum status get_entry(struct cpu *cpu, const struct library_run *run, int64_t batch,
                             const struct packed *packed, struct entry **out) {
  struct entry *set = set_of(cpu->library, run->problem, batch);
  struct entry *entry = find_entry(set, run->problem, batch, packed);
  if (entry == NULL) {
    entry = oldest_entry(set);
    empty_entry(entry);
    entry->problem = *run->problem;
    entry->batch = batch;
    enum status status = layout_copy(packed->layout, &entry->layout);
    status = status != OK ? status : fill_entry(cpu->library, entry);
    entry->last_use = ++cpu->library->clock;
    status = status != OK ? status : try_entry(cpu, entry, run, packed);
    if (status != OK) {
      empty_entry(entry);
      return status;
    }
  }
  *out = entry;
  return OK;
}

enum status library_call(struct cpu *cpu, const struct library_run *run, int64_t batch,
                         const struct packed *packed) {
  struct entry *entry = NULL;
  TRY(get_entry(cpu, run, batch, packed, &entry));
  return entry->trusted ? execute(cpu, entry, run, packed) : run_rows(cpu, run, batch, packed);
}
