/* library_graph.h - a graph of operations in cuDNN's words: tensors, convolutions, sums, attention.
 *
 * The graph owns all descriptors made for it. Tensors are named by small numbers of the caller's,
 * by which a plan is later given their memory.
 */
#ifndef DARKROOM_KERNELS_CUDA_LIBRARY_GRAPH_H
#define DARKROOM_KERNELS_CUDA_LIBRARY_GRAPH_H

#include "kernels/cuda/library_inside.h"

#define GRAPH_PARTS_MAX 64 /* an engine with every knob is the most */
#define GRAPH_OPERATIONS_MAX 4

struct graph {
  struct library *library;
  cudnnBackendDescriptor_t part[GRAPH_PARTS_MAX]; /* everything, in the order it was made */
  int parts;
  cudnnBackendDescriptor_t operation[GRAPH_OPERATIONS_MAX];
  int operations;
  cudnnBackendDescriptor_t whole; /* among the parts, set by graph_finish */
  /* Set before graph_finish: what cuDNN compiles for it serves all shapes of such a graph. */
  bool any_shape;
};

struct graph_tensor {
  int64_t id; /* not 0 */
  cudnnDataType_t type;
  int64_t size[4],
      stride[4];     /* in cuDNN's order: image, channel, row, pixel; or image, head, ... */
  int64_t alignment; /* bytes */
  bool passing;      /* between two operations, never in memory */
  bool by_value;     /* one number of the host's */
};

struct graph_convolution {
  cudnnDataType_t sum; /* the type that it is computed in */
  int64_t stride[2];
  int64_t pad_before[2], pad_after[2]; /* rows, columns */
};

/* Starts an empty graph; graph_close gives back what was made, in whatever state. */
void graph_open(struct library *library, struct graph *graph);
void graph_close(struct graph *graph);

enum status graph_tensor(struct graph *graph, const struct graph_tensor *tensor,
                         cudnnBackendDescriptor_t *out);
/* y = conv(x, w) */
struct graph_operands {
  cudnnBackendDescriptor_t x, w, y;
};
enum status graph_convolve(struct graph *graph, const struct graph_convolution *convolution,
                           const struct graph_operands *operands);
/* y = x + w in f32; w may be of size 1 where x is larger. */
enum status graph_add(struct graph *graph, const struct graph_operands *operands);
/* y = softmax(q k^T scale) v */
struct graph_attention {
  cudnnBackendDescriptor_t q, k, v, scale, y;
};
enum status graph_attend(struct graph *graph, const struct graph_attention *attention);
/* No more operations. UNAVAILABLE if cuDNN does not know this pattern. */
enum status graph_finish(struct graph *graph);

/* A descriptor of any kind that is closed with the graph. */
enum status graph_part(struct graph *graph, cudnnBackendDescriptorType_t kind,
                       cudnnBackendDescriptor_t *out);
/* Sets an attribute, finishes a descriptor: what = the thing in our words, for an error. */
struct graph_attribute {
  cudnnBackendAttributeName_t name;
  cudnnBackendAttributeType_t type;
  int64_t count;
  const void *values;
};
enum status graph_set(const struct library *library, cudnnBackendDescriptor_t descriptor,
                      const struct graph_attribute *attribute, size_t count, const char *what);

#endif
