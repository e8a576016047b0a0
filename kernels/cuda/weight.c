/* weight.c - weights brought to the device and reordered there: inputs last, as images have them,
 * in the type of the activations that they meet.
 *
 * The checkpoint's bytes go through the queue's scratch in slices of outputs, so that loading
 * needs no memory beside the weights themselves.
 */
#include <assert.h>
#include <stdlib.h>

#include "base/progress.h"
#include "kernels/cuda/cuda.h"
#include "kernels/cuda/pool.h"

enum { PARITIES = 4, PARITY_TAPS = 4, BIAS_PIECE = 1024 };

/* Raw bytes lie in the first half of the scratch; the sums of a doubling weight, which come out
 * with the parities of the slice side by side, in the second. */
static size_t half_bytes(const struct cuda *cuda) {
  return cuda->scratch[cuda->queue].bytes / 2 / POOL_ALIGNMENT * POOL_ALIGNMENT;
}
static void *first_half(const struct cuda *cuda) { return cuda->scratch[cuda->queue].data; }
static void *second_half(const struct cuda *cuda) {
  return (char *)first_half(cuda) + half_bytes(cuda);
}

static int64_t taps_of(const struct weight *head) {
  return head->kernel_height * head->kernel_width;
}

/* Bytes of one output, in the checkpoint, and here (of all parities). */
static size_t source_row_bytes(const struct weight_source *source, const struct weight *head) {
  return (size_t)(head->inputs * taps_of(head)) * element_bytes(source->kernel.element);
}
static size_t row_bytes(const struct weight *head) {
  int64_t taps = head->doubling ? PARITIES * PARITY_TAPS : taps_of(head);
  return (size_t)(head->inputs * taps) * element_bytes(head->element);
}

/* Outputs that go through half of the scratch at a time. */
static int64_t slice_rows(const struct weight_source *source, const struct weight *head,
                          size_t half) {
  size_t row = source_row_bytes(source, head);
  row = head->doubling && row_bytes(head) > row ? row_bytes(head) : row;
  return row == 0 ? head->outputs : (int64_t)(half / row);
}

size_t weight_parity_bytes(const struct weight *head) {
  size_t bytes = (size_t)head->outputs * row_bytes(head) / PARITIES;
  return (bytes + POOL_ALIGNMENT - 1) / POOL_ALIGNMENT * POOL_ALIGNMENT;
}

/* From [parity][slice] in the scratch to [parity][all outputs]. */
static enum status spread_parities(struct cuda *cuda, const struct cuda_weight *weight,
                                   int64_t first, int64_t rows) {
  size_t row = row_bytes(&weight->head) / PARITIES, parities = weight_parity_bytes(&weight->head);
  for (size_t parity = 0; parity < PARITIES; parity++) {
    char *to = (char *)weight->kernel + parity * parities + (size_t)first * row;
    const char *from = (const char *)second_half(cuda) + parity * (size_t)rows * row;
    TRY(CUDA(cuda, cudaMemcpyAsync(to, from, (size_t)rows * row, cudaMemcpyDeviceToDevice,
                                   cuda_stream(cuda))));
  }
  return OK;
}

static enum status pack_slice(struct cuda *cuda, const struct weight_source *source,
                              const struct cuda_weight *weight, int64_t first, int64_t rows) {
  const struct weight *head = &weight->head;
  size_t source_row = source_row_bytes(source, head);
  void *raw = first_half(cuda);
  char *place = (char *)weight->kernel + (size_t)first * row_bytes(head);
  const struct launch_pack pack = {.x = raw,
                                   .y = head->doubling ? second_half(cuda) : place,
                                   .from = (enum launch_element)source->kernel.element,
                                   .to = (enum launch_element)head->element,
                                   .outputs = rows,
                                   .inputs = head->inputs,
                                   .kernel = (int)taps_of(head),
                                   .doubled = head->doubling};
  TRY(staging_put(cuda, raw, (const char *)source->kernel.data + (size_t)first * source_row,
                  (size_t)rows * source_row));
  TRY(CUDA(cuda, launch_pack(&pack, cuda_stream(cuda))));
  return head->doubling ? spread_parities(cuda, weight, first, rows) : OK;
}

static enum status pack_kernel(struct cuda *cuda, const struct weight_source *source,
                               const struct cuda_weight *weight) {
  int64_t outputs = weight->head.outputs;
  int64_t slice = slice_rows(source, &weight->head, half_bytes(cuda));
  if (slice == 0) {
    return fail(EXHAUSTED, "a weight of %lld inputs: more than %zu MiB for one output",
                (long long)weight->head.inputs, half_bytes(cuda) >> 20);
  }
  for (int64_t first = 0; first < outputs; first += slice) {
    int64_t rows = outputs - first < slice ? outputs - first : slice;
    TRY(pack_slice(cuda, source, weight, first, rows));
    progress_count();
  }
  return OK;
}

/* As it is, and behind that rounded to the weight's element. */
static enum status pack_bias(struct cuda *cuda, const struct tensor *bias,
                             const struct cuda_weight *weight) {
  int64_t count = tensor_count(bias);
  size_t size = element_bytes(weight->head.element);
  for (int64_t first = 0; first < count; first += BIAS_PIECE) {
    float piece[BIAS_PIECE], rounded[BIAS_PIECE]; /* no element is larger */
    int64_t values = count - first < BIAS_PIECE ? count - first : BIAS_PIECE;
    const char *from = (const char *)bias->data + (size_t)first * element_bytes(bias->element);
    elements_to_f32(bias->element, from, values, piece);
    elements_from_f32(weight->head.element, piece, values, rounded);
    TRY(staging_put(cuda, weight->bias + first, piece, (size_t)values * sizeof *piece));
    TRY(staging_put(cuda, (char *)weight->bias_rounded + (size_t)first * size, rounded,
                    (size_t)values * size));
  }
  return OK;
}

static enum status fill_weight(struct cuda *cuda, const struct weight_source *source,
                               struct cuda_weight *weight) {
  const struct tensor *bias = &source->bias;
  size_t bytes = weight->head.doubling ? PARITIES * weight_parity_bytes(&weight->head)
                                       : (size_t)weight->head.outputs * row_bytes(&weight->head);
  weight->kernel = device_take(&cuda->head, bytes);
  if (weight->kernel == NULL) {
    return EXHAUSTED;
  }
  weight->kernel_bytes = bytes;
  TRY(pack_kernel(cuda, source, weight));
  if (bias->data != NULL) {
    size_t exact = (size_t)tensor_count(bias) * sizeof(float);
    exact = (exact + POOL_ALIGNMENT - 1) / POOL_ALIGNMENT * POOL_ALIGNMENT;
    bytes = exact + (size_t)tensor_count(bias) * element_bytes(weight->head.element);
    weight->bias = device_take(&cuda->head, bytes);
    if (weight->bias == NULL) {
      return EXHAUSTED;
    }
    weight->bias_bytes = bytes;
    weight->bias_rounded = (char *)weight->bias + exact;
    TRY(pack_bias(cuda, bias, weight));
  }
  /* Other queues will read it, and nobody asks them to follow this one. Once, at load. */
  return CUDA(cuda, cudaStreamSynchronize(cuda_stream(cuda)));
}

enum status cuda_pack(struct device *device, const struct weight_source *source,
                      struct weight **out) {
  struct cuda *cuda = cuda_of(device);
  struct cuda_weight *weight = calloc(1, sizeof *weight);
  if (weight == NULL) {
    return fail(EXHAUSTED, "no memory for a weight");
  }
  weight->head = weight_head(device, source);
  enum status status = fill_weight(cuda, source, weight);
  if (status != OK) {
    struct weight *half = &weight->head;
    (void)CUDA(cuda, cudaStreamSynchronize(cuda_stream(cuda))); /* it is on its way there */
    cuda_weight_close(half);
    return status;
  }
  *out = &weight->head;
  return OK;
}

void cuda_weight_close(struct weight *weight) {
  struct cuda_weight *own = (struct cuda_weight *)weight;
  device_drop(weight->device, own->kernel, own->kernel_bytes);
  device_drop(weight->device, own->bias, own->bias_bytes);
  free(own);
}
