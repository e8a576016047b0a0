/* library_graph.c - cuDNN's descriptors, made, filled and finished. */
#include "kernels/cuda/library_graph.h"

#include <assert.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

void graph_open(struct library *library, struct graph *graph) {
  *graph = (struct graph){.library = library};
}

void graph_close(struct graph *graph) {
  while (graph->parts > 0) {
    (void)graph->library->dnn.cudnnBackendDestroyDescriptor(graph->part[--graph->parts]);
  }
  graph->operations = 0;
  graph->whole = NULL;
}

enum status graph_part(struct graph *graph, cudnnBackendDescriptorType_t kind,
                       cudnnBackendDescriptor_t *out) {
  assert(graph->parts < GRAPH_PARTS_MAX);
  const struct library *library = graph->library;
  cudnnBackendDescriptor_t made = NULL;
  TRY(library_check_cudnn(library, library->dnn.cudnnBackendCreateDescriptor(kind, &made),
                          "a descriptor"));
  graph->part[graph->parts++] = made;
  *out = made;
  return OK;
}

enum status graph_set(const struct library *library, cudnnBackendDescriptor_t descriptor,
                      const struct graph_attribute *attribute, size_t count, const char *what) {
  for (size_t i = 0; i < count; i++) {
    const struct graph_attribute *a = &attribute[i];
    TRY(library_check_cudnn(
        library,
        library->dnn.cudnnBackendSetAttribute(descriptor, a->name, a->type, a->count, a->values),
        what));
  }
  return library_check_cudnn(library, library->dnn.cudnnBackendFinalize(descriptor), what);
}

enum status graph_tensor(struct graph *graph, const struct graph_tensor *tensor,
                         cudnnBackendDescriptor_t *out) {
  cudnnBackendDescriptor_t made = NULL;
  TRY(graph_part(graph, CUDNN_BACKEND_TENSOR_DESCRIPTOR, &made));
  const struct graph_attribute attributes[] = {
      {CUDNN_ATTR_TENSOR_DATA_TYPE, CUDNN_TYPE_DATA_TYPE, 1, &tensor->type},
      {CUDNN_ATTR_TENSOR_DIMENSIONS, CUDNN_TYPE_INT64, 4, tensor->size},
      {CUDNN_ATTR_TENSOR_STRIDES, CUDNN_TYPE_INT64, 4, tensor->stride},
      {CUDNN_ATTR_TENSOR_UNIQUE_ID, CUDNN_TYPE_INT64, 1, &tensor->id},
      {CUDNN_ATTR_TENSOR_BYTE_ALIGNMENT, CUDNN_TYPE_INT64, 1, &tensor->alignment},
      {CUDNN_ATTR_TENSOR_IS_VIRTUAL, CUDNN_TYPE_BOOLEAN, 1, &tensor->passing},
      {CUDNN_ATTR_TENSOR_IS_BY_VALUE, CUDNN_TYPE_BOOLEAN, 1, &tensor->by_value},
  };
  TRY(graph_set(graph->library, made, attributes, COUNT(attributes), "a tensor"));
  *out = made;
  return OK;
}

static enum status add_operation(struct graph *graph, cudnnBackendDescriptorType_t kind,
                                 const struct graph_attribute *attributes, size_t count) {
  assert(graph->operations < GRAPH_OPERATIONS_MAX);
  cudnnBackendDescriptor_t made = NULL;
  TRY(graph_part(graph, kind, &made));
  TRY(graph_set(graph->library, made, attributes, count, "an operation"));
  graph->operation[graph->operations++] = made;
  return OK;
}

enum status graph_convolve(struct graph *graph, const struct graph_convolution *convolution,
                           const struct graph_operands *operands) {
  const cudnnConvolutionMode_t mode = CUDNN_CROSS_CORRELATION;
  const int64_t sides = 2, apart[2] = {1, 1};
  const struct graph_attribute description[] = {
      {CUDNN_ATTR_CONVOLUTION_COMP_TYPE, CUDNN_TYPE_DATA_TYPE, 1, &convolution->sum},
      {CUDNN_ATTR_CONVOLUTION_CONV_MODE, CUDNN_TYPE_CONVOLUTION_MODE, 1, &mode},
      {CUDNN_ATTR_CONVOLUTION_SPATIAL_DIMS, CUDNN_TYPE_INT64, 1, &sides},
      {CUDNN_ATTR_CONVOLUTION_DILATIONS, CUDNN_TYPE_INT64, 2, apart},
      {CUDNN_ATTR_CONVOLUTION_FILTER_STRIDES, CUDNN_TYPE_INT64, 2, convolution->stride},
      {CUDNN_ATTR_CONVOLUTION_PRE_PADDINGS, CUDNN_TYPE_INT64, 2, convolution->pad_before},
      {CUDNN_ATTR_CONVOLUTION_POST_PADDINGS, CUDNN_TYPE_INT64, 2, convolution->pad_after},
  };
  cudnnBackendDescriptor_t described = NULL;
  TRY(graph_part(graph, CUDNN_BACKEND_CONVOLUTION_DESCRIPTOR, &described));
  TRY(graph_set(graph->library, described, description, COUNT(description), "a convolution"));
  const float whole = 1, nothing = 0; /* y = 1 conv(x, w) + 0 y */
  const struct graph_attribute operation[] = {
      {CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_CONV_DESC, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1,
       &described},
      {CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_X, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &operands->x},
      {CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_W, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &operands->w},
      {CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_Y, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &operands->y},
      {CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_ALPHA, CUDNN_TYPE_FLOAT, 1, &whole},
      {CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_BETA, CUDNN_TYPE_FLOAT, 1, &nothing},
  };
  return add_operation(graph, CUDNN_BACKEND_OPERATION_CONVOLUTION_FORWARD_DESCRIPTOR, operation,
                       COUNT(operation));
}

enum status graph_add(struct graph *graph, const struct graph_operands *operands) {
  const cudnnPointwiseMode_t mode = CUDNN_POINTWISE_ADD;
  const cudnnDataType_t precision = CUDNN_DATA_FLOAT;
  const struct graph_attribute description[] = {
      {CUDNN_ATTR_POINTWISE_MODE, CUDNN_TYPE_POINTWISE_MODE, 1, &mode},
      {CUDNN_ATTR_POINTWISE_MATH_PREC, CUDNN_TYPE_DATA_TYPE, 1, &precision},
  };
  cudnnBackendDescriptor_t described = NULL;
  TRY(graph_part(graph, CUDNN_BACKEND_POINTWISE_DESCRIPTOR, &described));
  TRY(graph_set(graph->library, described, description, COUNT(description), "a sum"));
  const struct graph_attribute operation[] = {
      {CUDNN_ATTR_OPERATION_POINTWISE_PW_DESCRIPTOR, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &described},
      {CUDNN_ATTR_OPERATION_POINTWISE_XDESC, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &operands->x},
      {CUDNN_ATTR_OPERATION_POINTWISE_BDESC, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &operands->w},
      {CUDNN_ATTR_OPERATION_POINTWISE_YDESC, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &operands->y},
  };
  return add_operation(graph, CUDNN_BACKEND_OPERATION_POINTWISE_DESCRIPTOR, operation,
                       COUNT(operation));
}

enum status graph_attend(struct graph *graph, const struct graph_attention *a) {
  const struct graph_attribute operation[] = {
      {CUDNN_ATTR_OPERATION_SDPA_FWD_QDESC, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &a->q},
      {CUDNN_ATTR_OPERATION_SDPA_FWD_KDESC, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &a->k},
      {CUDNN_ATTR_OPERATION_SDPA_FWD_VDESC, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &a->v},
      {CUDNN_ATTR_OPERATION_SDPA_FWD_ODESC, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &a->y},
      {CUDNN_ATTR_OPERATION_SDPA_FWD_SCALEDESC, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &a->scale},
  };
  return add_operation(graph, CUDNN_BACKEND_OPERATION_SDPA_FWD_DESCRIPTOR, operation,
                       COUNT(operation));
}

enum status graph_finish(struct graph *graph) {
  struct library *library = graph->library;
  cudnnBackendDescriptor_t made = NULL;
  TRY(graph_part(graph, CUDNN_BACKEND_OPERATIONGRAPH_DESCRIPTOR, &made));
  struct graph_attribute attributes[3] = {
      {CUDNN_ATTR_OPERATIONGRAPH_OPS, CUDNN_TYPE_BACKEND_DESCRIPTOR, graph->operations,
       graph->operation},
      {CUDNN_ATTR_OPERATIONGRAPH_IS_DYNAMIC_SHAPE_ENABLED, CUDNN_TYPE_BOOLEAN, 1,
       &graph->any_shape},
      {CUDNN_ATTR_OPERATIONGRAPH_HANDLE, CUDNN_TYPE_HANDLE, 1, &library->dnn_handle},
  };
  TRY(graph_set(library, made, attributes, library->dnn_handle != NULL ? 3 : 2, "a graph"));
  graph->whole = made;
  return OK;
}
