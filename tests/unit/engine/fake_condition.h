/* fake_condition.h - the fake model's prompts: a number made of the text. */
#ifndef DARKROOM_TESTS_UNIT_ENGINE_FAKE_CONDITION_H
#define DARKROOM_TESTS_UNIT_ENGINE_FAKE_CONDITION_H

#include <string.h>

#include "tests/unit/engine/fake_adapters.h"
#include "tests/unit/engine/fake_knobs.h"
#include "worker/model/model.h"

size_t model_condition_bytes(const struct model *model, int chunks) {
  (void)model;
  return 64 * (size_t)chunks;
}
enum status model_condition_chunks(const struct model *model, const struct condition *condition,
                                   int *out) {
  (void)model;
  (void)condition;
  *out = 1;
  return OK;
}

size_t model_condition_scratch_bytes(const struct model *model) {
  return model_condition_bytes(model, 1) * 256;
}
enum status model_condition(struct model *model, struct arena *keep, struct arena *turn,
                            const struct condition *condition, struct conditioning *out,
                            struct condition_report *report) {
  const char *prompt = condition->prompt;
  (void)model;
  (void)report;
  fake.conditioned++;
  if (arena_take(turn, 16384) == NULL) {
    return EXHAUSTED;
  }
  if (strcmp(prompt, "unspeakable") == 0) {
    return fail(BAD_INPUT, "the fake tokenizer cannot say this");
  }
  TRY(tensor_take(keep, ELEMENT_F32, TENSOR_SHAPE(1, FAKE_WIDTH), &out->embedding));
  float *values = out->embedding.data;
  values[0] = fmodf(fake_number(prompt) + fake_worded(condition), 1.0f);
  values[1] = strcmp(prompt, "infinite") == 0 ? 1.0f : 0.0f;
  values[2] = strcmp(prompt, "flat") == 0 ? 1.0f : 0.0f;
  return OK;
}

void model_context(const struct conditioning *conditioning, struct batch_row *row) {
  row->context = conditioning->embedding.data;
  row->tokens = 1;
}

#endif
