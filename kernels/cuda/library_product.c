/* library_product.c - matrix products by cuBLASLt, with bias and residual fused.
 *
 * Ours are rows: y[M, O] = x[M, I] w[O, I]^T. cuBLASLt's are columns, and a row-major matrix is a
 * column-major one of its transpose, so it is asked for y^T[O, M] = w x^T: its m is O, its n is M
 * = images * rows, its k is I. The images are the far dimension of everything: neither a leading
 * dimension nor an alignment depends on their number.
 *
 * Why one algorithm gives an image the same bits in any batch: an algorithm names the kernel, its
 * tile, stages and cluster, and n only says how many tiles there are. A value of y is the work of
 * one block, which goes through all of k in the order of its tile, if nothing is split over k. With
 * STRICT nothing is: splitting has to pass partial sums between blocks, through y (the reduction
 * schemes, masked out) or through a workspace (there is none), and what was chosen is read back.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/cuda/library_inside.h"

enum { CANDIDATES = 16 };

/* An algorithm, kept for a problem; the descriptors are made anew for a call: they are host's. */
struct product {
  cublasLtMatmulAlgo_t algorithm;
  size_t workspace_bytes;
};

/* cuBLASLt's view of a problem for a number of images. C is laid out as D. */
struct view {
  cublasLtMatmulDesc_t operation;
  cublasLtMatrixLayout_t a, b, d;
};

static cudaDataType_t type_of(enum element element) {
  static const cudaDataType_t types[ELEMENT_COUNT] = {
      [ELEMENT_F32] = CUDA_R_32F, [ELEMENT_BF16] = CUDA_R_16BF, [ELEMENT_F16] = CUDA_R_16F};
  assert(element == ELEMENT_F32 || element == ELEMENT_BF16 || element == ELEMENT_F16);
  return types[element];
}

static void view_close(const struct library *library, struct view *view) {
  const struct cublaslt *lt = &library->lt;
  cublasLtMatrixLayout_t layouts[] = {view->a, view->b, view->d};
  for (size_t i = 0; i < sizeof layouts / sizeof layouts[0]; i++) {
    if (layouts[i] != NULL) {
      (void)lt->cublasLtMatrixLayoutDestroy(layouts[i]);
    }
  }
  if (view->operation != NULL) {
    (void)lt->cublasLtMatmulDescDestroy(view->operation);
  }
}

static enum status set(const struct library *library, cublasLtMatmulDesc_t operation,
                       cublasLtMatmulDescAttributes_t name, const void *value, size_t bytes) {
  return library_check_cublaslt(
      library, library->lt.cublasLtMatmulDescSetAttribute(operation, name, value, bytes),
      "describing a product");
}

static enum status describe(const struct library *library, const struct product_problem *p,
                            const void *bias, cublasLtMatmulDesc_t operation) {
  const cublasOperation_t transposed = CUBLAS_OP_T, plain = CUBLAS_OP_N;
  TRY(set(library, operation, CUBLASLT_MATMUL_DESC_TRANSA, &transposed, sizeof transposed));
  TRY(set(library, operation, CUBLASLT_MATMUL_DESC_TRANSB, &plain, sizeof plain));
  if (p->has_bias) {
    const cublasLtEpilogue_t with_bias = CUBLASLT_EPILOGUE_BIAS;
    TRY(set(library, operation, CUBLASLT_MATMUL_DESC_EPILOGUE, &with_bias, sizeof with_bias));
    TRY(set(library, operation, CUBLASLT_MATMUL_DESC_BIAS_POINTER, &bias, sizeof bias));
  }
  return OK;
}

static enum status view_fill(const struct library *library, const struct product_problem *p,
                             const struct product_run *run, struct view *view) {
  const struct cublaslt *lt = &library->lt;
  const cudaDataType_t type = type_of(p->element), y_type = type_of(p->y_element);
  const uint64_t outputs = (uint64_t)p->outputs, inputs = (uint64_t)p->inputs,
                 columns = (uint64_t)(run->images * p->rows);
  static const char what[] = "describing a product";
  TRY(library_check_cublaslt(
      library, lt->cublasLtMatmulDescCreate(&view->operation, CUBLAS_COMPUTE_32F, CUDA_R_32F),
      what));
  TRY(describe(library, p, run->bias_as_y, view->operation));
  TRY(library_check_cublaslt(
      library, lt->cublasLtMatrixLayoutCreate(&view->a, type, inputs, outputs, p->inputs), what));
  TRY(library_check_cublaslt(
      library, lt->cublasLtMatrixLayoutCreate(&view->b, type, inputs, columns, p->inputs), what));
  return library_check_cublaslt(
      library, lt->cublasLtMatrixLayoutCreate(&view->d, y_type, outputs, columns, p->outputs),
      what);
}

static enum status view_open(const struct library *library, const struct product_problem *p,
                             const struct product_run *run, struct view *out) {
  struct view view = {0};
  enum status status = view_fill(library, p, run, &view);
  if (status != OK) {
    view_close(library, &view);
    return status;
  }
  *out = view;
  return OK;
}

/* For questions: an address that nobody follows, aligned as memory of the device is. */
static struct product_run question(int64_t images) {
  return (struct product_run){.images = images, .bias_as_y = (const void *)(uintptr_t)256};
}

/* ---- choosing ------------------------------------------------------------------------------ */

/* What every address of a problem is sure to be aligned to: not what it happens to be. */
static enum status prefer(const struct library *library, const struct product_problem *p,
                          size_t workspace_bytes, cublasLtMatmulPreference_t preference) {
  bool strict = library->determinism == DETERMINISM_STRICT;
  const uint64_t workspace = strict ? 0 : workspace_bytes;
  const uint32_t schemes = strict ? CUBLASLT_REDUCTION_SCHEME_NONE : CUBLASLT_REDUCTION_SCHEME_MASK;
  const uint32_t x = (uint32_t)library_alignment(p->inputs * (int64_t)element_bytes(p->element)),
                 y = (uint32_t)library_alignment(p->outputs * (int64_t)element_bytes(p->y_element));
  const struct {
    cublasLtMatmulPreferenceAttributes_t name;
    const void *value;
    size_t bytes;
  } rows[] = {
      {CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, &workspace, sizeof workspace},
      {CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK, &schemes, sizeof schemes},
      {CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, &x, sizeof x},
      {CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES, &x, sizeof x},
      {CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES, &y, sizeof y},
      {CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES, &y, sizeof y},
  };
  for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
    TRY(library_check_cublaslt(library,
                               library->lt.cublasLtMatmulPreferenceSetAttribute(
                                   preference, rows[i].name, rows[i].value, rows[i].bytes),
                               "what is wished of a product"));
  }
  return OK;
}

/* A problem and the wishes about it, described to cuBLASLt. */
struct inquiry {
  struct view view;
  cublasLtMatmulPreference_t preference;
};

static void inquiry_close(const struct library *library, struct inquiry *inquiry) {
  view_close(library, &inquiry->view);
  if (inquiry->preference != NULL) {
    (void)library->lt.cublasLtMatmulPreferenceDestroy(inquiry->preference);
  }
}

static enum status inquiry_open(const struct library *library, const struct product_problem *p,
                                int64_t images, size_t workspace_bytes, struct inquiry *out) {
  const struct product_run run = question(images);
  struct inquiry inquiry = {0};
  TRY(view_open(library, p, &run, &inquiry.view));
  enum status status = library_check_cublaslt(
      library, library->lt.cublasLtMatmulPreferenceCreate(&inquiry.preference),
      "what is wished of a product");
  if (status == OK) {
    status = prefer(library, p, workspace_bytes, inquiry.preference);
  }
  if (status != OK) {
    inquiry_close(library, &inquiry);
    return status;
  }
  *out = inquiry;
  return OK;
}

enum status library_product_describe(const struct library *library,
                                     const struct product_problem *problem, int64_t images) {
  struct inquiry inquiry;
  TRY(inquiry_open(library, problem, images, 0, &inquiry));
  inquiry_close(library, &inquiry);
  return OK;
}

static bool is_whole(const struct library *library, const cublasLtMatmulAlgo_t *algorithm) {
  int32_t pieces = 0;
  uint32_t scheme = 0;
  size_t written = 0;
  const struct cublaslt *lt = &library->lt;
  return lt->cublasLtMatmulAlgoConfigGetAttribute(algorithm, CUBLASLT_ALGO_CONFIG_SPLITK_NUM,
                                                  &pieces, sizeof pieces,
                                                  &written) == CUBLAS_STATUS_SUCCESS &&
         lt->cublasLtMatmulAlgoConfigGetAttribute(algorithm, CUBLASLT_ALGO_CONFIG_REDUCTION_SCHEME,
                                                  &scheme, sizeof scheme,
                                                  &written) == CUBLAS_STATUS_SUCCESS &&
         pieces <= 1 && scheme == CUBLASLT_REDUCTION_SCHEME_NONE;
}

/* Whether the algorithm serves a number of images. */
static enum status check(const struct library *library, const struct product_problem *p,
                         const cublasLtMatmulAlgo_t *algorithm, int64_t images) {
  const struct product_run run = question(images);
  struct view view;
  cublasLtMatmulHeuristicResult_t result;
  TRY(view_open(library, p, &run, &view));
  enum status status = library_check_cublaslt(
      library,
      library->lt.cublasLtMatmulAlgoCheck(library->lt_handle, view.operation, view.a, view.b,
                                          view.d, view.d, algorithm, &result),
      "checking an algorithm");
  view_close(library, &view);
  if (status == OK && result.workspaceSize > 0) {
    return fail(UNAVAILABLE, "cuBLASLt: an algorithm wants %zu bytes beside its operands",
                result.workspaceSize);
  }
  return status;
}

static enum status choose(const struct library *library, const struct product_problem *p,
                          int64_t images, size_t workspace_bytes, struct product *out) {
  cublasLtMatmulHeuristicResult_t found[CANDIDATES];
  struct inquiry inquiry;
  int count = 0;
  TRY(inquiry_open(library, p, images, workspace_bytes, &inquiry));
  const struct view *view = &inquiry.view;
  enum status status =
      library_check_cublaslt(library,
                             library->lt.cublasLtMatmulAlgoGetHeuristic(
                                 library->lt_handle, view->operation, view->a, view->b, view->d,
                                 view->d, inquiry.preference, CANDIDATES, found, &count),
                             "choosing an algorithm");
  inquiry_close(library, &inquiry);
  TRY(status);
  for (int i = 0; i < count; i++) {
    bool fits = found[i].state == CUBLAS_STATUS_SUCCESS;
    if (fits && library->determinism == DETERMINISM_STRICT) {
      status = check(library, p, &found[i].algo, 1);
      if (status != OK && status != UNAVAILABLE) {
        return status;
      }
      fits = status == OK && is_whole(library, &found[i].algo);
    }
    if (fits) {
      *out = (struct product){found[i].algo, found[i].workspaceSize};
      return OK;
    }
  }
  return fail(UNAVAILABLE, "cuBLASLt has no algorithm for this product");
}

static void close_product(struct library *library, void *made) {
  (void)library;
  free(made);
}

/* The entry of a problem, decided. */
static enum status decide(struct library *library, const struct product_problem *p, int64_t images,
                          size_t workspace_bytes, const struct product **out) {
  bool strict = library->determinism == DETERMINISM_STRICT;
  const struct library_key key = {
      .value = {LIBRARY_PRODUCT, p->element, p->y_element, p->activation, p->has_bias,
                p->has_residual, p->rows, p->inputs, p->outputs},
      .images = strict ? 0 : images};
  struct library_entry *entry = NULL;
  TRY(library_entry(library, &key, &entry));
  if (entry->made == NULL && !entry->refused) {
    struct product product;
    enum status status =
        choose(library, p, strict ? LIBRARY_REFERENCE_IMAGES : images, workspace_bytes, &product);
    entry->refused = status == UNAVAILABLE;
    TRY(status);
    TRY(library_keep(entry, &product, sizeof product, close_product));
  }
  if (entry->refused) {
    return fail(UNAVAILABLE, "cuBLASLt does not serve this product");
  }
  *out = entry->made;
  return OK;
}

/* ---- running ------------------------------------------------------------------------------- */

static enum status queue(const struct library *library, const struct product_problem *p,
                         const struct product_run *run, const struct product *product,
                         const struct library_place *place) {
  const float one = 1, beta = p->has_residual ? 1 : 0;
  const void *c = p->has_residual ? run->residual : run->y;
  struct view view;
  TRY(view_open(library, p, run, &view));
  cublasStatus_t status =
      library->lt.cublasLtMatmul(library->lt_handle, view.operation, &one, run->w, view.a, run->x,
                                 view.b, &beta, c, view.d, run->y, view.d, &product->algorithm,
                                 place->workspace.data, product->workspace_bytes, place->stream);
  view_close(library, &view);
  return library_check_cublaslt(library, status, "a product");
}

static enum status queue_each(const struct library *library, const struct product_problem *p,
                              const struct product_run *run, const struct product *product,
                              const struct library_place *place) {
  const size_t x_step = (size_t)(p->rows * p->inputs) * element_bytes(p->element),
               y_step = (size_t)(p->rows * p->outputs) * element_bytes(p->y_element);
  struct product_run one = *run;
  one.images = 1;
  for (int64_t i = 0; i < run->images; i++) {
    TRY(queue(library, p, &one, product, place));
    one.x = (const char *)one.x + x_step;
    one.y = (char *)one.y + y_step;
    one.residual = p->has_residual ? (const char *)one.residual + y_step : NULL;
  }
  return OK;
}

enum status library_product(struct library *library, const struct product_problem *problem,
                            const struct product_run *run, struct library_workspace workspace,
                            cudaStream_t stream) {
  const struct product *product = NULL;
  if (problem->activation !=
      ACTIVATION_NONE) { /* its gelu is tanh's, and it has no other of ours */
    return fail(UNAVAILABLE, "cuBLASLt has no such activation");
  }
  assert(!problem->has_bias || run->bias_as_y != NULL);
  TRY(decide(library, problem, run->images, workspace.bytes, &product));
  const struct library_place place = {workspace, stream};
  enum status status = queue(library, problem, run, product, &place);
  if (status == UNAVAILABLE && library->determinism == DETERMINISM_STRICT) {
    status = queue_each(library, problem, run, product, &place);
  }
  /* What was chosen must run: another kernel in its place would have other bits. */
  return status == UNAVAILABLE ? BROKEN : status;
}
