/* fake_exact.h - the fake model's second look at a picture. */
#ifndef DARKROOM_TESTS_UNIT_ENGINE_FAKE_EXACT_H
#define DARKROOM_TESTS_UNIT_ENGINE_FAKE_EXACT_H

#include "tests/unit/engine/fake_knobs.h"
#include "worker/model/model.h"

bool model_decodes_exactly(const struct model *model) {
  (void)model;
  return !fake.overflows;
}

enum status model_decode_exact(struct model *model, struct arena *turn,
                               const struct decode *decode) {
  fake.exact++;
  TRY(fake.exact_status == OK ? OK : fail(fake.exact_status, "told to fail"));
  TRY(model_decode(model, turn, decode));
  *(int32_t *)decode->finite.data = 1;
  return OK;
}

size_t model_decode_exact_bytes(const struct model *model, int height, int width) {
  return model_decode_bytes(model, height, width);
}

size_t model_exact_weight_bytes(const struct model *model) { return model_bytes(model); }

#endif
