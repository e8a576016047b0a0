/* self_test.c - the engine tries itself, as its caller would. */
#include "worker/engine/self_test.h"

#include "base/clock.h"
#include "monitoring/log.h"

static enum status run(struct engine *engine, const struct self_test *test, uint64_t number) {
  struct example example = {0};
  Darkroom__V1__Job job;
  TRY(self_test_job(test, number, &example, &job));
  enum status status = engine_admit(engine, &job, number, &example.inputs);
  example_close(&example);
  TRY(status);
  while (engine_busy(engine)) {
    TRY(engine_turn(engine));
  }
  return OK;
}

enum status self_test_run(struct engine *engine, const struct self_test *test) {
  struct self_test_outcome outcome;
  const struct engine_listener own = self_test_listener(&outcome);
  const struct engine_listener before = engine_listen(engine, &own);
  int64_t began = clock_ms();
  enum status status = OK;
  for (uint64_t number = 0; status == OK && number < SELF_TEST_RUNS; number++) {
    status = run(engine, test, number);
  }
  engine_listen(engine, &before);
  TRY(status);
  TRY(self_test_judge(test, &outcome));
  log_event("self_test", log_text("model", test->model.id), log_number("ms", clock_ms() - began));
  return OK;
}
