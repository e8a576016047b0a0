/* model.c - closing, and what all passes need. */
#include "worker/model/model_inside.h"

void model_close(struct model **pointer) {
  if (pointer == NULL || *pointer == NULL) {
    return;
  }
  struct model *model = *pointer;
  struct arena *host = model->host;
  packed_close(&model->packed);
  for (int i = 0; i < TEXT_ENCODERS_MAX; i++) {
    tokenizer_close(&model->tokenizer[i]);
  }
  arena_close(&model->on_device);
  arena_close(&host); /* the struct itself lies in it */
  *pointer = NULL;
}

const struct family *model_family(const struct model *model) { return &model->family; }

size_t model_bytes(const struct model *model) { return model->bytes; }

const struct module_list *model_modules(const struct model *model) { return model->modules; }

/* ---- passes ---- */

struct pass model_pass(const struct model *model, struct arena *turn, enum precision precision) {
  return (struct pass){.device = model->device,
                       .arena = turn,
                       .element = device_element_for(model->device, precision),
                       .modules = model->modules};
}

/* ---- scratch, known beforehand ---- */

size_t model_dry_bytes(const struct model *model, const struct tensor *input, model_dry_run run) {
  struct arena *arena = NULL;
  if (pass_dry_arena(&arena) != OK) {
    return SIZE_MAX;
  }
  struct pass pass = model_pass(model, arena, PRECISION_FAST);
  pass.dry = true;
  size_t bytes = run(&pass, model, input) == OK ? arena_peak(arena) : SIZE_MAX;
  arena_close(&arena);
  return bytes;
}
