/* inputs.c - the fields of a job's inputs, and what of them can be used. */
#include "worker/engine/inputs.h"

#include <assert.h>

const char *input_field(enum input_kind kind) {
  static const char *const names[INPUT_KINDS] = {[INPUT_IMAGE] = "image",
                                                 [INPUT_MASK] = "mask",
                                                 [INPUT_CONTROL] = "control",
                                                 [INPUT_ADAPTER] = "adapter",
                                                 [INPUT_EMBEDDING] = "embedding"};
  assert((size_t)kind < INPUT_KINDS);
  return names[kind];
}

enum status inputs_check(const struct engine_inputs *inputs, struct refusal *why) {
  if (inputs == NULL || inputs->count == 0) {
    return OK;
  }
  const char *field = input_field(inputs->input[0].kind);
  return refuse(why, DARKROOM__V1__ERROR_CODE__ERROR_FIELD, field, NULL,
                "a job with a %s is not implemented", field);
}
