/* leaving.c - a short list, walked after each landing. */
#include "worker/engine/leaving.h"

#include <assert.h>

void leaving_add(struct leaving *leaving, struct sample *sample, size_t bytes) {
  assert(leaving->count < LEAVING_MAX);
  struct task *task = sample->task;
  leaving->row[leaving->count++] = (struct leaver){.turn = sample->last_turn,
                                                   .bytes = bytes,
                                                   .memory = sample_abandon(sample),
                                                   .cond = conditionings_share(task->cond),
                                                   .uncond = conditionings_share(task->uncond)};
}

void leaving_settle(struct leaving *leaving, struct flights *flights, struct budget *budget) {
  int kept = 0;
  for (int i = 0; i < leaving->count; i++) {
    struct leaver *row = &leaving->row[i];
    if (flight_numbered(flights, row->turn) != NULL) {
      leaving->row[kept++] = *row;
      continue;
    }
    arena_close(&row->memory);
    conditionings_release(&row->cond);
    conditionings_release(&row->uncond);
    budget_give(budget, row->bytes);
  }
  leaving->count = kept;
}
