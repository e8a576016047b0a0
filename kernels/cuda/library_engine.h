/* library_engine.h - cuDNN's engines: asked for, judged, and made into plans. For
 * library_plan.c.
 */
#ifndef DARKROOM_KERNELS_CUDA_LIBRARY_ENGINE_H
#define DARKROOM_KERNELS_CUDA_LIBRARY_ENGINE_H

#include "kernels/cuda/library_plan.h"

/* What cuDNN proposes for a graph, best first; closed by engines_close. */
#define ENGINES_MAX 48
struct engines {
  struct library *library;
  cudnnBackendDescriptor_t query;
  cudnnBackendDescriptor_t config[ENGINES_MAX];
  int64_t made, count;
};
enum status engines_ask(const struct graph *graph, struct engines *out);
void engines_close(struct engines *engines);

/* Reads proposal i. UNAVAILABLE if its sums are not what we want: see the rules there. */
enum status engines_read(const struct engines *engines, int64_t i, struct engine *out);

/* Makes the plan; kernels: those compiled before for such graphs, or NULL. UNAVAILABLE if the
 * engine does not serve the graph in workspace_bytes. */
struct engine_room {
  cudnnBackendDescriptor_t kernels;
  size_t workspace_bytes;
};
enum status engine_plan(const struct graph *graph, const struct engine *engine,
                        const struct engine_room *room, struct plan *out);

#endif
