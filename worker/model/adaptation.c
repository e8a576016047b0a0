/* adaptation.c - the adapters of a job on the device: beside the model's layers, or in their place.
 */
#include "worker/model/adaptation.h"

#include <assert.h>
#include <math.h>
#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>

#include "worker/model/adapter_side.h"
#include "worker/model/adapter_use.h"
#include "worker/model/merged.h"
#include "worker/model/model_inside.h"

#define REFUSE(...) fail_field(BAD_INPUT, "adapter", __VA_ARGS__)

struct adaptation {
  struct side_path side;
  struct merged *merged; /* NULL: the side path */
  bool changes[NETWORKS];
  uint8_t digest[ADAPTER_DIGEST_BYTES];
};

/* ---- uses in one order ---- */

static enum status check_weight(float weight) {
  if (!isfinite(weight) || fabsf(weight) > ADAPTER_WEIGHT_MAX) {
    return REFUSE("an adapter's weight is %g, allowed are -%g to %g", (double)weight,
                  (double)ADAPTER_WEIGHT_MAX, (double)ADAPTER_WEIGHT_MAX);
  }
  return OK;
}

static enum status check_uses(const struct adapter_use *uses, size_t count) {
  if (count > ADAPTERS_MAX) {
    return REFUSE("%zu adapters in one job, at most %d are allowed", count, ADAPTERS_MAX);
  }
  for (size_t i = 0; i < count; i++) {
    TRY(check_weight(uses[i].weight));
    TRY(check_weight(uses[i].text_weight));
  }
  return OK;
}

static int by_content(const void *a, const void *b) {
  const struct adapter_use *x = a, *y = b;
  int order = memcmp(x->adapter->digest, y->adapter->digest, ADAPTER_DIGEST_BYTES);
  if (order == 0) {
    order = (x->weight > y->weight) - (x->weight < y->weight);
  }
  return order != 0 ? order : (x->text_weight > y->text_weight) - (x->text_weight < y->text_weight);
}

static void sort_uses(const struct adapter_use *uses, size_t count, struct adapter_use *sorted) {
  if (count > 0) {
    memcpy(sorted, uses, count * sizeof *uses);
  }
  qsort(sorted, count, sizeof *sorted, by_content);
}

/* Weights that are 0 are written as +0, for they mean the same. */
static enum status digest_uses(const struct adapter_use *uses, size_t count, uint8_t *out) {
  uint8_t text[ADAPTERS_MAX * (ADAPTER_DIGEST_BYTES + 2 * sizeof(float))];
  size_t at = 0;
  for (size_t i = 0; i < count; i++) {
    float weights[2] = {uses[i].weight + 0.0f, uses[i].text_weight + 0.0f};
    memcpy(text + at, uses[i].adapter->digest, ADAPTER_DIGEST_BYTES);
    memcpy(text + at + ADAPTER_DIGEST_BYTES, weights, sizeof weights);
    at += ADAPTER_DIGEST_BYTES + sizeof weights;
  }
  if (EVP_Digest(text, at, out, NULL, EVP_sha256(), NULL) != 1) {
    return fail(BROKEN, "libcrypto cannot compute a sha256");
  }
  return OK;
}

/* ---- opening ---- */

/* How one is made. */
struct making {
  struct model *model;
  enum adaptation_way way;
  const struct loader_pauses *pauses;
};

static enum status open_way(const struct making *making, const struct adapter_use *uses,
                            size_t count, struct adaptation *adaptation) {
  struct model *model = making->model;
  bool beside = making->way != ADAPTATION_MERGED && side_path_is_possible(model, uses, count);
  assert(making->way != ADAPTATION_BESIDE || beside);
  for (int network = NETWORK_UNET; network <= NETWORK_TEXT_2; network++) {
    adaptation->changes[network] =
        use_changes_network(uses, count, model->modules, (enum network)network);
  }
  return beside ? side_path_open(model, uses, count, &adaptation->side)
                : merged_open(model, uses, count, making->pauses, &adaptation->merged);
}

static enum status open_as(const struct making *making, const struct adapter_use *uses,
                           size_t count, struct adaptation **out) {
  struct adapter_use sorted[ADAPTERS_MAX];
  TRY(check_uses(uses, count));
  sort_uses(uses, count, sorted);
  struct adaptation *adaptation = calloc(1, sizeof *adaptation);
  if (adaptation == NULL) {
    return fail(EXHAUSTED, "out of memory");
  }
  enum status status = digest_uses(sorted, count, adaptation->digest);
  status = status == OK ? open_way(making, sorted, count, adaptation) : status;
  if (status != OK) {
    adaptation_close(&adaptation);
    return status;
  }
  *out = adaptation;
  return OK;
}

enum status adaptation_open_as(struct model *model, const struct adapter_use *uses, size_t count,
                               enum adaptation_way way, struct adaptation **out) {
  return open_as(&(struct making){.model = model, .way = way}, uses, count, out);
}

enum status adaptation_open(struct model *model, const struct adapter_use *uses, size_t count,
                            struct adaptation **out) {
  return adaptation_open_as(model, uses, count, ADAPTATION_FASTER, out);
}

enum status adaptation_open_beside(struct model *model, const struct adapter_use *uses,
                                   size_t count, const struct loader_pauses *pauses,
                                   struct adaptation **out) {
  const struct making making = {model, ADAPTATION_MERGED, pauses};
  return open_as(&making, uses, count, out);
}

bool adaptation_is_quick(const struct model *model, const struct adapter_use *uses, size_t count) {
  return side_path_is_possible(model, uses, count);
}

void adaptation_close(struct adaptation **adaptation) {
  if (adaptation != NULL && *adaptation != NULL) {
    side_path_close(&(*adaptation)->side);
    merged_close(&(*adaptation)->merged);
    free(*adaptation);
    *adaptation = NULL;
  }
}

size_t adaptation_bytes(const struct model *model, const struct adapter_use *uses, size_t count) {
  assert(count <= ADAPTERS_MAX);
  return side_path_is_possible(model, uses, count) ? side_path_bytes(model, uses, count)
                                                   : merged_bytes(model, uses, count);
}

size_t adaptation_scratch_bytes(const struct model *model, const struct adapter_use *uses,
                                size_t count) {
  return merged_scratch_bytes(model, uses, count);
}

/* ---- asking ---- */

bool adaptation_changes(const struct adaptation *adaptation, enum network network) {
  return adaptation->changes[network];
}

const struct adapter_module *adaptation_table(const struct adaptation *adaptation,
                                              enum network network) {
  return adaptation->changes[network] ? adaptation->side.table : NULL;
}

const struct merged *adaptation_merged(const struct adaptation *adaptation) {
  return adaptation->merged;
}

const uint8_t *adaptation_digest(const struct adaptation *adaptation) { return adaptation->digest; }

void adaptation_enter(const struct adaptation *adaptation, enum network network,
                      struct pass *pass) {
  bool side = adaptation != NULL && adaptation_table(adaptation, network) != NULL;
  pass->merged = adaptation != NULL ? adaptation->merged : NULL;
  pass->adapted = side ? adaptation->side.rows : NULL;
  pass->touched = side ? adaptation->side.touched : NULL;
}
