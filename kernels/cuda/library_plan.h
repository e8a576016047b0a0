/* library_plan.h - which of cuDNN's engines serves a problem, and its plan for a number of images.
 *
 * With DETERMINISM_STRICT an engine and its knobs are chosen once, for LIBRARY_REFERENCE_IMAGES;
 * plans for any other number are made of the same engine with the same knobs, and a number for
 * which there is none is run image by image with the plan for one. So the number never decides
 * about the order of a sum.
 */
#ifndef DARKROOM_KERNELS_CUDA_LIBRARY_PLAN_H
#define DARKROOM_KERNELS_CUDA_LIBRARY_PLAN_H

#include "kernels/cuda/library_graph.h"

/* An engine of cuDNN and how it is set.
 */
struct engine {
  int64_t number;
  int64_t knobs;
  cudnnBackendKnobType_t knob[CUDNN_KNOB_TYPE_COUNTS];
  int64_t value[CUDNN_KNOB_TYPE_COUNTS];
};

/* What can be run: a plan and the memory that it wants beside its operands. */
struct plan {
  cudnnBackendDescriptor_t descriptor;
  int64_t workspace_bytes;
  struct engine engine; /* for reports */
};

/* A problem and how its graph is made for a number of images. */
struct graph_maker {
  enum status (*make)(const void *problem, int64_t images, struct graph *graph);
  const void *problem;
  struct library_key key;     /* images 0 */
  struct library_key kernels; /* of graphs of any shape: those that can share compiled kernels */
};

/* A plan for all `images` at once, or *together = false and a plan for one of them. What is given
 * belongs to the library. UNAVAILABLE if no engine serves the problem, then and always. */
enum status plan_get(struct library *library, const struct graph_maker *maker, int64_t images,
                     size_t workspace_bytes, struct plan **out, bool *together);

/* Queues a plan: memory[i] is that of the tensor with the number id[i]. */
struct plan_memory {
  const int64_t *id;
  void *const *memory;
  int64_t count;
};
enum status plan_run(struct library *library, const struct plan *plan,
                     const struct plan_memory *memory, const struct library_place *place);

/* The makers of problems, for whoever wants to see what a GPU would be asked. */
enum status library_convolution_plan(struct library *library,
                                     const struct convolution_problem *problem, int64_t images,
                                     size_t workspace_bytes, struct plan **out, bool *together);
enum status library_attention_plan(struct library *library, const struct attention_problem *problem,
                                   int64_t images, size_t workspace_bytes, struct plan **out,
                                   bool *together);

#endif
