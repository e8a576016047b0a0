/* self_test.h - the picture that a model must get right before it takes work, through the engine's
 * own calls (engine.h) and no others. */
#ifndef DARKROOM_WORKER_ENGINE_SELF_TEST_H
#define DARKROOM_WORKER_ENGINE_SELF_TEST_H

#include "worker/engine/answers.h"
#include "worker/engine/engine.h"
#include "worker/engine/example.h"

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

/* ---- its parts, for who lets others go between (trial.h) ---- */

#define SELF_TEST_ID "self-test" /* of its jobs, whose fence is the number of the run */
enum { SELF_TEST_RUNS = 2 };

/* What came out of each run, and why it failed if it did. */
struct self_test_outcome {
  int pictures;
  uint32_t side;
  uint8_t rgb[SELF_TEST_RUNS][ANSWER_SIDE_MAX * ANSWER_SIDE_MAX * 3];
  char reason[FAIL_REASON_MAX];
};
/* Fills it. */
struct engine_listener self_test_listener(struct self_test_outcome *outcome);
/* The job of a run, with what it brings along: closed by the caller when it has been admitted. */
enum status self_test_job(const struct self_test *test, uint64_t number, struct example *example,
                          Darkroom__V1__Job *out);
/* When all have ended. BROKEN. */
enum status self_test_judge(const struct self_test *test, const struct self_test_outcome *outcome);

#endif
