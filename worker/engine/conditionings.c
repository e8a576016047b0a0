/* conditionings.c - a row saves a run of the text encoders, or of a net's part of it. */
#include "worker/engine/conditionings.h"

#include <assert.h>
#include <string.h>

#include "worker/model/control.h"
#include "worker/model/model.h"

struct conditionings {
  struct device *device;
  struct budget *budget;
  uint64_t clock;
  struct shelf shelf;
  int others;
  struct forgetful other[FORGETFUL_MAX];
  struct conditioned rows[CONDITIONINGS_MAX];
};

/* One that was made just now and for nothing may still be written to; should the device have failed
 * meanwhile, the next turn says so. */
static void close_row(void *context, struct held *held) {
  struct conditioned *row = (struct conditioned *)held;
  (void)context;
  if (row->ready != NULL) {
    (void)event_wait(row->ready);
  }
  event_close(&row->ready);
  arena_close(&row->memory);
  arena_close(&row->text);
  conditionings_release(&row->of);
}

/* What goes, by what it was made with. */
struct going {
  shelf_match goes;
  const void *thing;
};

static bool is_nets(const struct held *held, const void *going) {
  const struct going *what = going;
  return ((const struct conditioned *)held)->net != NULL && what->goes(held, what->thing);
}

/* Those of nets first: they hold the others. */
static void forget_all(struct conditionings *conditionings, shelf_match goes, const void *thing) {
  shelf_forget_all(&conditionings->shelf, is_nets, &(struct going){goes, thing});
  shelf_forget_all(&conditionings->shelf, goes, thing);
}

enum status conditionings_open(struct arena *memory, struct device *device, struct budget *budget,
                               struct conditionings **out) {
  struct conditionings *conditionings = arena_take_zeroed(memory, sizeof *conditionings);
  if (conditionings == NULL) {
    return EXHAUSTED;
  }
  conditionings->device = device;
  conditionings->budget = budget;
  conditionings->shelf =
      (struct shelf){.budget = budget, .clock = &conditionings->clock, .close = close_row};
  shelf_rows(&conditionings->shelf, conditionings->rows, sizeof *conditionings->rows,
             CONDITIONINGS_MAX);
  *out = conditionings;
  return OK;
}

void conditionings_close(struct conditionings **pointer) {
  if (*pointer != NULL) {
    forget_all(*pointer, shelf_any, NULL);
  }
  *pointer = NULL; /* the table itself belongs to the arena it came from */
}

static bool forget_any(struct conditionings *conditionings) {
  bool forgotten = shelf_forget_oldest(&conditionings->shelf);
  for (int i = 0; i < conditionings->others && !forgotten; i++) {
    forgotten = conditionings->other[i].forget_oldest(conditionings->other[i].context);
  }
  return forgotten;
}

enum status conditionings_make_room(struct conditionings *conditionings, size_t bytes) {
  while (budget_take(conditionings->budget, bytes) != OK) {
    if (bytes > conditionings->budget->max || !forget_any(conditionings)) {
      return EXHAUSTED;
    }
  }
  return OK;
}

void conditionings_ask_also(struct conditionings *conditionings, struct forgetful other) {
  assert(conditionings->others < FORGETFUL_MAX);
  conditionings->other[conditionings->others++] = other;
}

static bool made_with(const struct held *held, const void *thing) {
  const struct condition *condition = &((const struct conditioned *)held)->condition;
  return condition->adaptation == thing || condition->embeddings == thing;
}

static bool made_by(const struct held *held, const void *resident) {
  return ((const struct conditioned *)held)->resident == resident;
}

void conditionings_forget(struct conditionings *conditionings,
                          const void *adaptation_or_embeddings) {
  forget_all(conditionings, made_with, adaptation_or_embeddings);
}

void conditionings_forget_model(struct conditionings *conditionings,
                                const struct resident *resident) {
  forget_all(conditionings, made_by, resident);
}

/* ---- looking for one ---- */

/* Field by field: pointers and floats have no holes between them, but a struct may. */
static bool same_condition(const struct condition *a, const struct condition *b) {
  return a->mode == b->mode && a->clip_skip == b->clip_skip && a->negative == b->negative &&
         a->silent == b->silent && a->size_count == b->size_count && a->guidance == b->guidance &&
         memcmp(a->sizes, b->sizes, (size_t)a->size_count * sizeof a->sizes[0]) == 0 &&
         a->adaptation == b->adaptation && a->embeddings == b->embeddings &&
         strcmp(a->prompt, b->prompt) == 0;
}

/* What is wanted: a condition for a model or, with `of`, for a net. */
struct want {
  const struct resident *resident;
  const struct condition *condition;
  struct control *net;
  struct conditioned *of;
  struct arena *scratch;
};

static bool is_wanted(const struct held *held, const void *wanted) {
  const struct conditioned *row = (const struct conditioned *)held;
  const struct want *want = wanted;
  return row->resident == want->resident && row->net == want->net && row->of == want->of &&
         same_condition(&row->condition, want->condition);
}

/* ---- making one ---- */

static enum status count_bytes(const struct want *want, size_t *out) {
  int chunks = 0;
  if (want->net != NULL) {
    int tokens = (int)want->of->conditioning.embedding.shape[0];
    *out = control_condition_bytes(want->net, tokens);
    return OK;
  }
  TRY(model_condition_chunks(want->resident->model, want->condition, &chunks));
  *out = model_condition_bytes(want->resident->model, chunks);
  return OK;
}

/* Queues the text encoder, or the net's part. After a failure none of it is under way any more. */
static enum status encode(struct conditionings *conditionings, const struct want *want,
                          struct conditioned *row) {
  struct arena_mark mark = arena_mark(want->scratch);
  enum status status = want->net != NULL
                           ? control_condition(want->net, row->memory, want->scratch,
                                               &want->of->conditioning, &row->conditioning)
                           : model_condition(want->resident->model, row->memory, want->scratch,
                                             want->condition, &row->conditioning, &row->report);
  arena_release(want->scratch, mark);
  status = status == OK ? event_record(row->ready) : status;
  return status == OK || device_wait(conditionings->device) != BROKEN ? status : BROKEN;
}

static enum status make(struct conditionings *conditionings, const struct want *want,
                        struct conditioned *row) {
  size_t length = strlen(want->condition->prompt);
  TRY(arena_open(NULL, length + 64, &row->text));
  row->condition = *want->condition;
  row->condition.prompt = arena_copy_text(row->text, want->condition->prompt, length);
  if (row->condition.prompt == NULL) {
    return EXHAUSTED;
  }
  TRY(device_arena(conditionings->device, row->held.bytes, &row->memory));
  TRY(event_open(conditionings->device, &row->ready));
  TRY(encode(conditionings, want, row));
  row->resident = want->resident;
  row->net = want->net;
  row->of = want->of;
  if (want->of != NULL) {
    shelf_hold(&conditionings->shelf, &want->of->held);
  }
  shelf_put(&row->held);
  return OK;
}

/* A free row with so many bytes of the budget. */
static enum status take_row(struct conditionings *conditionings, size_t bytes,
                            struct conditioned **out) {
  TRY(conditionings_make_room(conditionings, bytes));
  struct held *row = shelf_place(&conditionings->shelf);
  if (row == NULL) {
    budget_give(conditionings->budget, bytes);
    return fail(EXHAUSTED, "%d prompts are in use at once", CONDITIONINGS_MAX);
  }
  row->bytes = bytes;
  *out = (struct conditioned *)row;
  return OK;
}

static enum status make_row(struct conditionings *conditionings, const struct want *want,
                            struct held **out) {
  size_t bytes = 0;
  struct conditioned *row = NULL;
  TRY(count_bytes(want, &bytes));
  TRY(take_row(conditionings, bytes, &row));
  enum status status = make(conditionings, want, row);
  if (status != OK) {
    shelf_forget(&conditionings->shelf, &row->held);
    return status;
  }
  *out = &row->held;
  return OK;
}

static enum status hold(struct conditionings *conditionings, const struct want *want,
                        struct conditioned **out) {
  struct held *row = shelf_find(&conditionings->shelf, is_wanted, want);
  if (row == NULL) {
    TRY(make_row(conditionings, want, &row));
  }
  *out = (struct conditioned *)shelf_hold(&conditionings->shelf, row);
  return OK;
}

enum status conditionings_hold(struct conditionings *conditionings, const struct resident *resident,
                               struct arena *scratch, const struct condition *condition,
                               struct conditioned **out) {
  const struct want want = {.resident = resident, .condition = condition, .scratch = scratch};
  return hold(conditionings, &want, out);
}

enum status conditionings_hold_for(struct conditionings *conditionings, struct control *net,
                                   struct arena *scratch, struct conditioned *of,
                                   struct conditioned **out) {
  const struct want want = {.resident = of->resident,
                            .condition = &of->condition,
                            .net = net,
                            .of = of,
                            .scratch = scratch};
  return hold(conditionings, &want, out);
}

void conditionings_release(struct conditioned **pointer) {
  if (*pointer != NULL) {
    shelf_let_go(&(*pointer)->held);
    *pointer = NULL;
  }
}
