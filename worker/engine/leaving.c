/* leaving.c - a short list, walked after each landing. */
#include "worker/engine/leaving.h"

#include <assert.h>

void leaving_add(struct leaving *leaving, struct sample *sample, size_t bytes) {
  assert(leaving->count < LEAVING_MAX);
  struct recipe *recipe = recipe_share(sample->task->recipe);
  leaving->row[leaving->count++] = (struct leaver){.turn = sample->last_turn,
                                                   .bytes = bytes,
                                                   .memory = sample_abandon(sample),
                                                   .recipe = recipe};
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
    recipe_release(&row->recipe);
    budget_give(budget, row->bytes);
  }
  leaving->count = kept;
}
