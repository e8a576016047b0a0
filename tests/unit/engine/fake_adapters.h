/* fake_adapters.h - adapters as a number made of their bytes: a file that begins with "m"
 * makes weights of its own, any other goes beside the model's. */
#ifndef DARKROOM_TESTS_UNIT_ENGINE_FAKE_ADAPTERS_H
#define DARKROOM_TESTS_UNIT_ENGINE_FAKE_ADAPTERS_H

#include <stdlib.h>

#include "base/clock.h"

#include "tests/unit/engine/fake_knobs.h"
#include "tests/unit/engine/fake_words.h"
#include "worker/model/adapter.h"
#include "worker/model/loader.h"

enum { FAKE_ADAPTER_BYTES = 1024 };

struct adapter {
  float number;
  bool merges;
};
struct merged {
  float number;
};
struct adaptation {
  struct adapter_module table[1]; /* its rank is what it adds, in thousandths */
  struct merged merged;
  bool merges;
};

enum status adapter_open(const struct model *model, const struct adapter_source *source,
                         struct adapter **out, struct adapter_report *report) {
  (void)model;
  if (source->bytes < 2) {
    return fail_field(BAD_INPUT, "adapter", "%s changes nothing", source->name);
  }
  struct adapter *adapter = calloc(1, sizeof *adapter);
  for (size_t i = 0; i < source->bytes; i++) {
    adapter->number += (float)source->data[i] / 20000.0f;
  }
  adapter->merges = source->data[0] == 'm';
  *report = (struct adapter_report){.changed = 1, .skipped = source->data[1] == 's'};
  snprintf(report->first_skipped, sizeof report->first_skipped, "a.b.c");
  fake.adapters++;
  fake.adapters_opened++;
  fake.adapters_hashed += source->sha256 != NULL;
  *out = adapter;
  return OK;
}
void adapter_close(struct adapter **adapter) {
  fake.adapters -= *adapter != NULL;
  free(*adapter);
  *adapter = NULL;
}
size_t adapter_bytes(const struct adapter *adapter) {
  (void)adapter;
  return FAKE_ADAPTER_BYTES;
}

static inline bool fake_merges(const struct adapter_use *uses, size_t count) {
  bool merges = false;
  for (size_t i = 0; i < count; i++) {
    merges = merges || uses[i].adapter->merges;
  }
  return merges;
}

enum status adaptation_open(struct model *model, const struct adapter_use *uses, size_t count,
                            struct adaptation **out) {
  (void)model;
  struct adaptation *adaptation = calloc(1, sizeof *adaptation);
  float number = 0;
  for (size_t i = 0; i < count; i++) {
    number += uses[i].adapter->number * uses[i].weight;
  }
  adaptation->merges = fake_merges(uses, count);
  adaptation->table[0].rank = 1 + (int32_t)(number * 10000.0f);
  adaptation->merged.number = number;
  fake.adaptations++;
  fake.adaptations_opened++;
  *out = adaptation;
  return OK;
}
void adaptation_close(struct adaptation **adaptation) {
  fake.adaptations -= *adaptation != NULL;
  free(*adaptation);
  *adaptation = NULL;
}
size_t adaptation_bytes(const struct model *model, const struct adapter_use *uses, size_t count) {
  (void)model;
  bool large = fake_merges(uses, count) && fake.merge_bytes > 0;
  return large ? fake.merge_bytes : FAKE_ADAPTER_BYTES * count;
}

bool adaptation_is_quick(const struct model *model, const struct adapter_use *uses, size_t count) {
  (void)model;
  return !fake_merges(uses, count);
}
size_t adaptation_scratch_bytes(const struct model *model, const struct adapter_use *uses,
                                size_t count) {
  (void)model, (void)uses, (void)count;
  return fake.merge_scratch > 0 ? fake.merge_scratch : FAKE_ADAPTER_BYTES;
}
/* So many layers, with a pause behind each. */
enum status adaptation_open_beside(struct model *model, const struct adapter_use *uses,
                                   size_t count, const struct loader_pauses *pauses,
                                   struct adaptation **out) {
  pauses->beside(pauses->context, false); /* from here on the device, and all of this, is ours */
  fake.merges++;
  for (int i = 0; i < fake.merge_layers; i++) {
    clock_move(fake.merge_ms);
    TRY(pauses->between(pauses->context));
  }
  if (fake.merge_status != OK) {
    return fail_field(fake.merge_status, "adapter", "the fake sum is too large");
  }
  return adaptation_open(model, uses, count, out);
}
const struct adapter_module *adaptation_table(const struct adaptation *adaptation,
                                              enum network network) {
  return network == NETWORK_UNET && !adaptation->merges ? adaptation->table : NULL;
}
const struct merged *adaptation_merged(const struct adaptation *adaptation) {
  return adaptation->merges ? &adaptation->merged : NULL;
}

/* What a row's and a call's adapters add to the fake model's output. */
static inline float fake_adapted(const struct batch_row *row, const struct merged *merged) {
  float side = row->adapters != NULL ? (float)row->adapters[0].rank / 10000.0f : 0.0f;
  return side + (merged != NULL ? 2.0f * merged->number : 0.0f);
}
/* The same for a prompt. */
static inline float fake_worded(const struct condition *condition) {
  float words = condition->embeddings != NULL ? condition->embeddings->number : 0.0f;
  return words + (condition->adaptation != NULL ? condition->adaptation->merged.number : 0.0f);
}

#endif
