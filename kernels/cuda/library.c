/* library.c - opens cuBLASLt and cuDNN on the current device, and says in our words what they
 * say.
 */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/cuda/library_inside.h"

/* CUDNN_VERSION's digits since 9: major * 10000 + minor * 100 + patch; cuBLASLt's the same. */
static void write_versions(struct library *library) {
  size_t lt = library->lt.cublasLtGetVersion(), dnn = library->dnn.cudnnGetVersion();
  snprintf(library->versions, sizeof library->versions, "cuBLASLt %zu.%zu.%zu, cuDNN %zu.%zu.%zu",
           lt / 10000, lt / 100 % 100, lt % 100, dnn / 10000, dnn / 100 % 100, dnn % 100);
}

static enum status open_handles(struct library *library) {
  TRY(library_load_cublaslt(&library->lt)); /* first: cuDNN looks for it too */
  TRY(library_load_cudnn(&library->dnn));
  TRY(library_check_cublaslt(library, library->lt.cublasLtCreate(&library->lt_handle),
                             "opening cuBLASLt"));
  TRY(library_check_cudnn(library, library->dnn.cudnnCreate(&library->dnn_handle),
                          "opening cuDNN"));
  write_versions(library);
  return OK;
}

static enum status library_new(enum determinism determinism, struct library **out) {
  struct library *library = calloc(1, sizeof *library);
  if (library == NULL) {
    return fail(EXHAUSTED, "no memory for a GPU's libraries");
  }
  library->determinism = determinism;
  *out = library;
  return OK;
}

enum status library_open(enum determinism determinism, struct library **out) {
  struct library *library = NULL;
  TRY(library_new(determinism, &library));
  enum status status = open_handles(library);
  if (status != OK) {
    library_close(&library);
    return status;
  }
  *out = library;
  return OK;
}

static enum status describe_device(struct library *library, const char *json) {
  TRY(library_load_cublaslt(&library->lt));
  TRY(library_load_cudnn(&library->dnn));
  const struct cudnn *dnn = &library->dnn;
  TRY(library_check_cudnn(
      library,
      dnn->cudnnBackendCreateDescriptor(CUDNN_BACKEND_DEVICEPROP_DESCRIPTOR, &library->properties),
      "a device's properties"));
  TRY(library_check_cudnn(
      library,
      dnn->cudnnBackendSetAttribute(library->properties, CUDNN_ATTR_DEVICEPROP_JSON_REPRESENTATION,
                                    CUDNN_TYPE_CHAR, (int64_t)strlen(json), json),
      "a device's properties"));
  return library_check_cudnn(library, dnn->cudnnBackendFinalize(library->properties),
                             "a device's properties");
}

enum status library_open_without_device(const char *properties, enum determinism determinism,
                                        struct library **out) {
  struct library *library = NULL;
  TRY(library_new(determinism, &library));
  enum status status = describe_device(library, properties);
  if (status != OK) {
    library_close(&library);
    return status;
  }
  *out = library;
  return OK;
}

void library_close(struct library **library) {
  struct library *closing = library == NULL ? NULL : *library;
  if (closing == NULL) {
    return;
  }
  library_table_close(closing);
  if (closing->properties != NULL) {
    (void)closing->dnn.cudnnBackendDestroyDescriptor(closing->properties);
  }
  if (closing->dnn_handle != NULL) {
    (void)closing->dnn.cudnnDestroy(closing->dnn_handle);
  }
  if (closing->lt_handle != NULL) {
    (void)closing->lt.cublasLtDestroy(closing->lt_handle);
  }
  free(closing);
  *library = NULL;
}

const char *library_versions(const struct library *library) { return library->versions; }

enum status library_check_cudnn(const struct library *library, cudnnStatus_t status,
                                const char *what) {
  if (status == CUDNN_STATUS_SUCCESS) {
    return OK;
  }
  char words[FAIL_REASON_MAX / 2] = "";
  library->dnn.cudnnGetLastErrorString(words, sizeof words);
  const char *name = library->dnn.cudnnGetErrorString(status);
  if (status == CUDNN_STATUS_INTERNAL_ERROR_HOST_ALLOCATION_FAILED ||
      status == CUDNN_STATUS_INTERNAL_ERROR_DEVICE_ALLOCATION_FAILED) {
    return fail(EXHAUSTED, "cuDNN: no memory for %s: %s %s", what, name, words);
  }
  /* What it cannot do or did not understand leaves the device as it was. */
  int category = CUDNN_STATUS_CATEGORY((int)status);
  bool refused = category < CUDNN_STATUS_INTERNAL_ERROR ||
                 status == CUDNN_STATUS_INTERNAL_ERROR_COMPILATION_FAILED;
  return fail(refused ? UNAVAILABLE : BROKEN, "cuDNN: %s: %s %s", what, name, words);
}

enum status library_check_cublaslt(const struct library *library, cublasStatus_t status,
                                   const char *what) {
  if (status == CUBLAS_STATUS_SUCCESS) {
    return OK;
  }
  const char *name = library->lt.cublasLtGetStatusString(status);
  if (status == CUBLAS_STATUS_ALLOC_FAILED) {
    return fail(EXHAUSTED, "cuBLASLt: no memory for %s: %s", what, name);
  }
  bool refused = status == CUBLAS_STATUS_NOT_SUPPORTED || status == CUBLAS_STATUS_ARCH_MISMATCH ||
                 status == CUBLAS_STATUS_INVALID_VALUE;
  return fail(refused ? UNAVAILABLE : BROKEN, "cuBLASLt: %s: %s", what, name);
}

int64_t library_alignment(int64_t bytes) {
  int64_t lowest = bytes & -bytes;
  return lowest < 16 ? lowest : 16;
}
