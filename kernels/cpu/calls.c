/* calls.c - how a batch is cut into calls of the library, and which layout of the weight each
 * takes. */
#include "kernels/cpu/calls.h"

#include "kernels/cpu/bands.h"
#include "kernels/cpu/cpu.h"
#include "kernels/cpu/openmp.h"
#include "kernels/cpu/weight.h"

enum { BATCH_CHUNK_MAX = 16 };
/* Rows larger than this together gain nothing from one call: each keeps all threads busy by itself.
 */
#define BATCH_BYTES_MAX ((int64_t)16 << 20)

/* The largest power of two of rows worth one call: few sizes, so few primitives to make and try. */
static int64_t chunk_of(const struct problem *problem, int64_t batch, int64_t work_max) {
  int64_t chunk = 1;
  int64_t row_bytes = problem_input_bytes(problem) + problem_output_bytes(problem);
  while (chunk * 2 <= batch && chunk < BATCH_CHUNK_MAX &&
         chunk * 2 * row_bytes <= BATCH_BYTES_MAX &&
         chunk * 2 * problem_work(problem) <= work_max) {
    chunk *= 2;
  }
  return chunk;
}

/* One row band by band. A band is a problem of its own, whose weights may want another layout. */
static enum status run_bands(struct cpu *cpu, const struct library_run *row, int64_t bands) {
  for (int64_t i = 0; i < bands; i++) {
    const struct band band = band_cut(row->problem, i, bands);
    const struct library_run part = {&band.problem, row->weight,
                                     (const char *)row->x + band.x_bytes,
                                     (char *)row->y + band.y_bytes};
    struct packed *packed = NULL;
    TRY(weight_suit(cpu, part.weight, part.problem, &packed));
    TRY(library_call(cpu, &part, 1, packed));
  }
  return OK;
}

static enum status run_chunks(struct cpu *cpu, const struct library_run *run, int64_t batch) {
  struct packed *packed = NULL;
  TRY(weight_suit(cpu, run->weight, run->problem, &packed));
  for (int64_t b = 0; b < batch;) {
    int64_t chunk = chunk_of(run->problem, batch - b, library_work_max(cpu->library));
    const struct library_run rest = library_from_row(run, b);
    TRY(library_call(cpu, &rest, chunk, packed));
    b += chunk;
  }
  return OK;
}

enum status call_library(struct cpu *cpu, const struct library_run *run, int64_t batch) {
  omp_set_num_threads(cpu->head.threads); /* of the calling thread, which may be a new one */
  int64_t bands = bands_of(run->problem, library_work_max(cpu->library));
  if (bands == 1) {
    return run_chunks(cpu, run, batch);
  }
  for (int64_t b = 0; b < batch; b++) {
    const struct library_run row = library_from_row(run, b);
    TRY(run_bands(cpu, &row, bands));
  }
  return OK;
}
