/* library_inside.h - what the files of library*.c share: the open libraries, and what was decided
 * about each problem.
 *
 * A problem is a short list of numbers that decide the bits of one image. What is decided about it
 * is kept for as long as the library is open: graphs that were captured hold its kernels, and a
 * problem that was once refused is refused again at no cost.
 */
#ifndef DARKROOM_KERNELS_CUDA_LIBRARY_INSIDE_H
#define DARKROOM_KERNELS_CUDA_LIBRARY_INSIDE_H

#include <stdbool.h>
#include <stdint.h>

#include "kernels/cuda/library.h"
#include "kernels/cuda/library_load.h"

/* With DETERMINISM_STRICT an algorithm is chosen as for so many images, whatever number comes: the
 * middle of what is run (one job is 2 rows, a full batch 16). */
#define LIBRARY_REFERENCE_IMAGES 4

#define LIBRARY_KEY_MAX 26
/* value[0] is the kind of problem; unused values are 0. images: 0 for what holds for any number. */
struct library_key {
  int64_t value[LIBRARY_KEY_MAX];
  int64_t images;
};
enum { LIBRARY_PRODUCT = 1, LIBRARY_CONVOLUTION, LIBRARY_ATTENTION, LIBRARY_KERNELS };

/* What is known of a key: that it is refused, or something of its maker's. */
struct library_entry {
  struct library_key key;
  bool refused;
  void *made; /* given to the maker's close when the library closes; NULL when refused */
  void (*close)(struct library *library, void *made);
};
struct library_table {
  struct library_entry **slot; /* open addressing; a power of two of them */
  size_t slots, count;
};

struct library {
  enum determinism determinism;
  struct cublaslt lt;
  struct cudnn dnn;
  cublasLtHandle_t lt_handle;
  cudnnHandle_t dnn_handle;            /* NULL: opened for a device that is not here */
  cudnnBackendDescriptor_t properties; /* of that device, else NULL */
  struct library_table table;
  char versions[64];
};

/* Opens the libraries for a GPU that is not here but whose properties are known, as JSON in
 * cuDNN's words: everything up to a plan can then be made, and nothing be run. For tests of what
 * a GPU would be asked. */
enum status library_open_without_device(const char *properties, enum determinism determinism,
                                        struct library **out);

/* The entry of a key, made empty (neither refused nor made) if there was none. EXHAUSTED without
 * memory, or when there are LIBRARY_ENTRIES_MAX. */
enum status library_entry(struct library *library, const struct library_key *key,
                          struct library_entry **out);
/* Keeps a copy of what was made under the entry. EXHAUSTED. */
enum status library_keep(struct library_entry *entry, const void *made, size_t bytes,
                         void (*close)(struct library *library, void *made));
/* The entry as if nothing had been decided. */
void library_entry_clear(struct library *library, struct library_entry *entry);
void library_table_close(struct library *library);

/* Where something is queued. */
struct library_place {
  struct library_workspace workspace;
  cudaStream_t stream;
};

/* OK, or EXHAUSTED for want of memory, UNAVAILABLE for what the library does not support, BROKEN
 * for everything else: with the library's own words. */
enum status library_check_cudnn(const struct library *library, cudnnStatus_t status,
                                const char *what);
enum status library_check_cublaslt(const struct library *library, cublasStatus_t status,
                                   const char *what);

/* Says to cuBLASLt all that a product of so many images is described by, which needs no device.
 * UNAVAILABLE if it does not take it. */
enum status library_product_describe(const struct library *library,
                                     const struct product_problem *problem, int64_t images);

/* The largest power of two, of 16 at most, that divides so many bytes. */
int64_t library_alignment(int64_t bytes);

#endif
