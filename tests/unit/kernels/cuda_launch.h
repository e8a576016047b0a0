/* cuda_launch.h - kernels/cuda/launch.h called by itself: tensors of any type at any address of the
 * device, and what a plain loop says they should hold.
 *
 * Only in builds that have the CUDA backend (Makefile). Where there is no GPU tests end as skipped.
 */
#ifndef DARKROOM_TESTS_UNIT_KERNELS_CUDA_LAUNCH_H
#define DARKROOM_TESTS_UNIT_KERNELS_CUDA_LAUNCH_H

#include <math.h>

#include "kernels/cuda/launch.h"
#include "kernels/ref/ref.h"
#include "tests/unit/kernels/cuda_device.h"

#define CUDA(call)                                             \
  do {                                                         \
    cudaError_t cuda_error_ = (call);                          \
    if (cuda_error_ != cudaSuccess) {                          \
      WRONG("%s: %s", #call, cudaGetErrorString(cuda_error_)); \
    }                                                          \
  } while (0)

enum { BUFFERS_MAX = 64, GUARD_BYTES = 64 };

/* What a test took; all goes at its end. */
static void *taken[BUFFERS_MAX];
static int taken_count;

static inline void *take_bytes(size_t bytes) {
  assert_true(taken_count < BUFFERS_MAX);
  CUDA(cudaMalloc(&taken[taken_count], bytes));
  return taken[taken_count++];
}

static inline int give_back(void **state) {
  (void)state;
  while (taken_count > 0) {
    CUDA(cudaFree(taken[--taken_count]));
  }
  return 0;
}

static inline int find_device(void **state) {
  (void)state;
  int count = 0;
  if (cudaGetDeviceCount(&count) != cudaSuccess || count == 0) {
    print_message("skipped: no CUDA device\n");
    skip();
  }
  return 0;
}

static const enum element float_elements[] = {ELEMENT_F32, ELEMENT_BF16, ELEMENT_F16};
enum { FLOAT_ELEMENTS = 3 };

/* Values of the device, `shift` of them behind an address that is a multiple of 256. What they are
 * on the host is what they are after rounding to the element. */
struct values {
  enum element element;
  int64_t count;
  float *host;
  void *device;
};

static inline void send_values(const struct values *values) {
  size_t bytes = (size_t)values->count * element_bytes(values->element);
  void *room = malloc(bytes + 1);
  assert_non_null(room);
  elements_from_f32(values->element, values->host, values->count, room);
  elements_to_f32(values->element, room, values->count, values->host);
  CUDA(cudaMemcpy(values->device, room, bytes, cudaMemcpyHostToDevice));
  free(room);
}

static inline struct values take_values(enum element element, int64_t count, int shift) {
  struct values values = {element, count, malloc((size_t)(count + 1) * sizeof(float)), NULL};
  size_t each = element_bytes(element);
  char *room = take_bytes((size_t)(count + shift) * each + GUARD_BYTES);
  assert_non_null(values.host);
  values.device = room + (size_t)shift * each;
  return values;
}

static inline void drop_values(struct values *values) {
  free(values->host);
  values->host = NULL;
}

static inline float random_value(uint64_t *dice) {
  return ((float)(draw(dice) >> 40) * 0x1p-23f - 1) * 1.7320508f; /* of variance one */
}

static inline struct values random_values(enum element element, int64_t count, int shift,
                                          uint64_t seed) {
  struct values values = take_values(element, count, shift);
  for (int64_t i = 0; i < count; i++) {
    values.host[i] = random_value(&seed);
  }
  send_values(&values);
  return values;
}

/* What lies there now, in f32; the caller frees it. */
static inline float *fetch_values(const struct values *values) {
  size_t bytes = (size_t)values->count * element_bytes(values->element);
  char *room = malloc(bytes + 1);
  float *host = malloc((size_t)(values->count + 1) * sizeof *host);
  assert_non_null(room);
  assert_non_null(host);
  CUDA(cudaMemcpy(room, values->device, bytes, cudaMemcpyDeviceToHost));
  elements_to_f32(values->element, room, values->count, host);
  free(room);
  return host;
}

/* The tests of a pattern once more with threads, blocks and streams in other orders. */
static inline void run_in_other_orders(const char *pattern) {
  for (int seed = 1; seed <= 3 && !is_again(); seed++) {
    char setting[40];
    snprintf(setting, sizeof setting, "EMULATION_SEED=%d", seed);
    run_again(pattern, (const char *[]){setting, NULL});
  }
}

#endif
