/* adapter.c - an adapter's file against a model. */
#include "worker/model/adapter.h"

#include "worker/model/adapter_change.h"

enum status adapter_open(const struct model *model, const struct adapter_source *source,
                         struct adapter **out, struct adapter_report *report) {
  const struct family *family = model_family(model);
  struct adapter_target target = {model_modules(model), &family->unet, family->row->name};
  return adapter_read(&target, source, out, report);
}

void adapter_close(struct adapter **adapter) {
  if (adapter != NULL && *adapter != NULL) {
    struct arena *arena = (*adapter)->arena;
    arena_close(&arena); /* the struct itself lies in it */
    *adapter = NULL;
  }
}

size_t adapter_bytes(const struct adapter *adapter) { return arena_used(adapter->arena); }
