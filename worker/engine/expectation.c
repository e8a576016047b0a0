/* expectation.c - sums of measured times. */
#include "worker/engine/expectation.h"

struct pace_work work_of(const struct stage *stage, enum pace_kind kind, int rows) {
  return (struct pace_work){
      .model = stage->resident, .kind = kind, .cells = stage_cells(stage), .rows = rows};
}

/* What holds files may stand still for a while where it would not have been noticed at the start:
 * as long as --load-seconds has it when nothing is said. */
#define LOAD_US UINT64_C(120000000)

static uint64_t in_flight(const struct engine *engine) {
  bool loads = engine->arrivals.load != NULL || merges_under_way(adapters_merges(engine->adapters));
  uint64_t sum = loads ? LOAD_US : 0;
  for (int i = 0; i < FLIGHT_QUEUES * FLIGHTS_OF_A_QUEUE; i++) {
    const struct flight *flight =
        &engine->flights.place[i / FLIGHTS_OF_A_QUEUE][i % FLIGHTS_OF_A_QUEUE];
    sum += flight->turn != 0 ? pace_expect(&engine->pace, &flight->work) : 0;
  }
  return sum;
}

void expect_more(struct engine *engine, const struct pace_work *work) {
  pulse_expect(engine->settings.pulse, in_flight(engine) + pace_expect(&engine->pace, work));
}

void expect_rest(struct engine *engine) { pulse_expect(engine->settings.pulse, in_flight(engine)); }
