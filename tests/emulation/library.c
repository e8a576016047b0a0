/* library.c - kernels/cuda/library.h without NVIDIA's libraries: plain loops over f32, one rounding
 * at the end.
 *
 * It refuses what the real ones are documented not to serve in the form that we ask for, so that
 * our own kernels take turns here too: products and convolutions over channels that do not fill
 * vectors of 16 bytes (cuDNN, "Supported Graph Patterns"; cuBLASLt, alignments), attention in f32,
 * with a causal mask, or over heads wider than 256 or no multiple of 8.
 */
#include "kernels/cuda/library.h"

#include <assert.h>
#include <stdbool.h>
#include <stdlib.h>

#include "tests/emulation/library.h"
#include "tests/emulation/loops.h"

#define HEAD_DEPTH_MAX 256

struct library {
  int calls;
};

enum status library_open(enum determinism determinism, struct library **out) {
  (void)determinism; /* plain loops have one order */
  if (getenv("EMULATION_NO_LIBRARIES") != NULL) {
    return fail(UNAVAILABLE, "libcudnn.so.9 was not found (EMULATION_NO_LIBRARIES)");
  }
  struct library *library = calloc(1, sizeof *library);
  if (library == NULL) {
    return fail(EXHAUSTED, "no memory for the libraries");
  }
  *out = library;
  return OK;
}

void library_close(struct library **library) {
  if (library != NULL) {
    free(*library);
    *library = NULL;
  }
}

const char *library_versions(const struct library *library) {
  (void)library;
  return "emulated libraries";
}

/* Nothing is decided here, so nothing is kept. */
bool library_is_full(const struct library *library) {
  (void)library;
  return false;
}
void library_forget(struct library *library) { (void)library; }

/* Vectors of 16 bytes are what the fast kernels of both libraries are made for. */
static bool fills_vectors(enum element element, int64_t channels) {
  return channels % (16 / (int64_t)element_bytes(element)) == 0;
}

static enum status queue(struct library *library, cudaStream_t stream,
                         void (*run)(const void *arguments), const void *arguments, size_t bytes) {
  library->calls++;
  if (emulation_library_fails() != 0) {
    return fail(BROKEN, "emulated library: call %d was told to fail", library->calls);
  }
  cudaError_t error = emulation_queue(stream, run, arguments, bytes);
  return error == cudaSuccess ? OK
                              : fail(BROKEN, "emulated library: %s", cudaGetErrorString(error));
}

enum status library_product(struct library *library, const struct product_problem *problem,
                            const struct product_run *run, struct library_workspace workspace,
                            cudaStream_t stream) {
  (void)workspace;
  if (!fills_vectors(problem->element, problem->inputs) ||
      !fills_vectors(problem->y_element, problem->outputs)) {
    return fail(UNAVAILABLE, "no algorithm for rows of %lld and %lld values",
                (long long)problem->inputs, (long long)problem->outputs);
  }
  assert((problem->has_bias != 0) == (run->bias != NULL));
  assert((problem->has_residual != 0) == (run->residual != NULL));
  struct product_work work = {*problem, *run};
  return queue(library, stream, run_product, &work, sizeof work);
}

enum status library_convolution(struct library *library, const struct convolution_problem *problem,
                                const struct convolution_run *run,
                                struct library_workspace workspace, cudaStream_t stream) {
  (void)workspace;
  if (!fills_vectors(problem->element, problem->inputs) ||
      !fills_vectors(problem->element, problem->outputs)) {
    return fail(UNAVAILABLE, "no engine for %lld and %lld channels", (long long)problem->inputs,
                (long long)problem->outputs);
  }
  assert((problem->has_bias != 0) == (run->bias != NULL));
  assert((problem->has_channel_add != 0) == (run->channel_add != NULL));
  assert((problem->has_residual != 0) == (run->residual != NULL));
  struct convolution_work work = {*problem, *run};
  return queue(library, stream, run_convolution, &work, sizeof work);
}

enum status library_attention(struct library *library, const struct attention_problem *problem,
                              const struct attention_run *run, struct library_workspace workspace,
                              cudaStream_t stream) {
  (void)workspace;
  if (problem->element == ELEMENT_F32 || problem->causal || problem->depth > HEAD_DEPTH_MAX ||
      problem->depth % 8 != 0) {
    return fail(UNAVAILABLE, "no engine for this attention over heads of %d", problem->depth);
  }
  struct attention_work work = {*problem, *run};
  return queue(library, stream, run_attention, &work, sizeof work);
}
