/* fake_loads.h - fake models that are loaded beside other work. Included by fake_model.h. */
#ifndef DARKROOM_TESTS_UNIT_ENGINE_FAKE_LOADS_H
#define DARKROOM_TESTS_UNIT_ENGINE_FAKE_LOADS_H

#include "worker/model/loader.h"

/* So many layers, with a pause behind each. One whose folder is "late-wrong" turns out to be so
 * when its files have been read. */
enum status model_open_beside(struct device *device, const struct model_source *source,
                              const struct loader_pauses *pauses, struct model **out) {
  pauses->beside(pauses->context, false); /* from here on the device, and all of this, is ours */
  fake.loads++;
  if (strcmp(source->folder, "late-wrong") == 0) {
    return fail_field(BAD_INPUT, "weights", "the fake sha256 is another");
  }
  for (int i = 0; i < fake.layers; i++) {
    clock_move(fake.layer_ms);
    TRY(pauses->between(pauses->context));
  }
  return fake_open(device, source, out);
}
enum status model_outline(struct device *device, const struct model_source *source,
                          struct model **out) {
  return fake_open(device, source, out);
}

#endif
