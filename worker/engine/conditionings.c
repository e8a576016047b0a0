/* conditionings.c - a small table searched from end to end: an entry saves a text encoder run, so a
 * scan costs nothing. */
#include "worker/engine/conditionings.h"

#include <assert.h>
#include <string.h>

struct conditionings {
  struct device *device;
  struct budget *budget;
  uint64_t clock; /* counts uses */
  struct conditioned rows[CONDITIONINGS_MAX];
};

enum status conditionings_open(struct arena *memory, struct device *device, struct budget *budget,
                               struct conditionings **out) {
  struct conditionings *conditionings = arena_take_zeroed(memory, sizeof *conditionings);
  if (conditionings == NULL) {
    return EXHAUSTED;
  }
  conditionings->device = device;
  conditionings->budget = budget;
  *out = conditionings;
  return OK;
}

/* One that was made just now and for nothing may still be written to; should the device have failed
 * meanwhile, the next turn says so. */
static void forget(struct conditionings *conditionings, struct conditioned *row) {
  if (row->ready != NULL) {
    (void)event_wait(row->ready);
  }
  event_close(&row->ready);
  arena_close(&row->memory);
  arena_close(&row->text);
  budget_give(conditionings->budget, row->bytes);
  *row = (struct conditioned){0};
}

void conditionings_close(struct conditionings **pointer) {
  if (*pointer == NULL) {
    return;
  }
  for (size_t i = 0; i < CONDITIONINGS_MAX; i++) {
    forget(*pointer, &(*pointer)->rows[i]);
  }
  *pointer = NULL; /* the table itself belongs to the arena it came from */
}

static bool forget_oldest(struct conditionings *conditionings) {
  struct conditioned *oldest = NULL;
  for (size_t i = 0; i < CONDITIONINGS_MAX; i++) {
    struct conditioned *row = &conditionings->rows[i];
    bool idle = row->resident != NULL && row->holders == 0;
    if (idle && (oldest == NULL || row->last_used < oldest->last_used)) {
      oldest = row;
    }
  }
  if (oldest != NULL) {
    forget(conditionings, oldest);
  }
  return oldest != NULL;
}

enum status conditionings_make_room(struct conditionings *conditionings, size_t bytes) {
  while (budget_take(conditionings->budget, bytes) != OK) {
    if (bytes > conditionings->budget->max || !forget_oldest(conditionings)) {
      return EXHAUSTED;
    }
  }
  return OK;
}

static struct conditioned *find(struct conditionings *conditionings,
                                const struct resident *resident, const char *prompt) {
  for (size_t i = 0; i < CONDITIONINGS_MAX; i++) {
    struct conditioned *row = &conditionings->rows[i];
    if (row->resident == resident && strcmp(row->prompt, prompt) == 0) {
      return row;
    }
  }
  return NULL;
}

static struct conditioned *find_free(struct conditionings *conditionings) {
  for (size_t i = 0; i < CONDITIONINGS_MAX; i++) {
    if (conditionings->rows[i].resident == NULL) {
      return &conditionings->rows[i];
    }
  }
  return NULL;
}

/* Queues the text encoder. After a failure none of it is under way any more. */
static enum status encode(struct conditionings *conditionings, const struct resident *resident,
                          struct arena *scratch, const char *prompt, struct conditioned *row) {
  struct arena_mark mark = arena_mark(scratch);
  const struct condition condition = {.prompt = prompt};
  enum status status =
      model_condition(resident->model, row->memory, scratch, &condition, &row->conditioning, NULL);
  arena_release(scratch, mark);
  status = status == OK ? event_record(row->ready) : status;
  return status == OK || device_wait(conditionings->device) != BROKEN ? status : BROKEN;
}

static enum status make(struct conditionings *conditionings, const struct resident *resident,
                        struct arena *scratch, const char *prompt, struct conditioned *row) {
  size_t length = strlen(prompt);
  TRY(arena_open(NULL, length + 64, &row->text));
  row->prompt = arena_copy_text(row->text, prompt, length);
  if (row->prompt == NULL) {
    return EXHAUSTED;
  }
  TRY(device_arena(conditionings->device, row->bytes, &row->memory));
  TRY(event_open(conditionings->device, &row->ready));
  TRY(encode(conditionings, resident, scratch, prompt, row));
  row->resident = resident;
  return OK;
}

enum status conditionings_hold(struct conditionings *conditionings, const struct resident *resident,
                               struct arena *scratch, const char *prompt,
                               struct conditioned **out) {
  struct conditioned *row = find(conditionings, resident, prompt);
  if (row == NULL) {
    size_t bytes = model_condition_bytes(resident->model, 1);
    TRY(conditionings_make_room(conditionings, bytes));
    row = find_free(conditionings);
    if (row == NULL && forget_oldest(conditionings)) {
      row = find_free(conditionings);
    }
    if (row == NULL) {
      budget_give(conditionings->budget, bytes);
      return fail(EXHAUSTED, "%d prompts are in use at once", CONDITIONINGS_MAX);
    }
    row->bytes = bytes;
    enum status status = make(conditionings, resident, scratch, prompt, row);
    if (status != OK) {
      forget(conditionings, row);
      return status;
    }
  }
  row->holders++;
  row->last_used = ++conditionings->clock;
  *out = row;
  return OK;
}

void conditionings_release(struct conditioned **pointer) {
  if (*pointer != NULL) {
    assert((*pointer)->holders > 0);
    (*pointer)->holders--;
    *pointer = NULL;
  }
}

struct conditioned *conditionings_share(struct conditioned *conditioned) {
  if (conditioned != NULL) {
    conditioned->holders++;
  }
  return conditioned;
}
