/* self_test.h - the picture that a model must get right before it takes work, through the engine's
 * own calls (engine.h) and no others. */
#ifndef DARKROOM_WORKER_ENGINE_SELF_TEST_H
#define DARKROOM_WORKER_ENGINE_SELF_TEST_H

#include "worker/engine/engine.h"

struct self_test {
  struct device *device; /* the engine's: only asked what it is */
  const char *answers;   /* file of pictures that were right before (answers.h); NULL: none */
  Darkroom__V1__ModelInfo model;
  bool wants_picture;                /* it draws nothing without (example.h) */
  const struct model_source *source; /* for what its configs and the table say; NULL: not told */
};

/* Runs a tiny job alone and again beside a stranger, with another listener meanwhile: the picture
 * must be finite, not flat, and both times the same; and as good as the one that this model gave
 * the first time on a device of this class (answers.h says how near), which is kept for models
 * whose sha256 is known. BROKEN otherwise. */
enum status self_test_run(struct engine *engine, const struct self_test *test);

#endif
