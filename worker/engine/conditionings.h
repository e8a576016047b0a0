/* conditionings.h - prompts already turned into what the U-Net needs, by model and text: shared,
 * counted, kept while there is room. The empty negative prompt of every job is the best customer.
 */
#ifndef DARKROOM_WORKER_ENGINE_CONDITIONINGS_H
#define DARKROOM_WORKER_ENGINE_CONDITIONINGS_H

#include <stdbool.h>

#include "kernels/queue.h"
#include "worker/engine/budget.h"
#include "worker/engine/residence.h"

#define CONDITIONINGS_MAX (4 * SAMPLES_MAX)

struct conditionings;

/* One cached prompt. Valid between hold and release. */
struct conditioned {
  struct conditioning conditioning;
  const struct resident *resident; /* NULL: a free row */
  const char *prompt;
  struct arena *memory; /* on the device */
  struct arena *text;
  struct event *ready; /* behind the text encoder's work */
  size_t bytes;
  int holders;
  uint64_t last_used;
};

/* Takes its table from memory; budget and device are borrowed. */
enum status conditionings_open(struct arena *memory, struct device *device, struct budget *budget,
                               struct conditionings **out);
void conditionings_close(struct conditionings **conditionings);

/* Finds or makes the conditioning of a prompt and holds it. scratch is released again. EXHAUSTED
 * when there is no room even without those that nobody holds. */
enum status conditionings_hold(struct conditionings *conditionings, const struct resident *resident,
                               struct arena *scratch, const char *prompt, struct conditioned **out);
void conditionings_release(struct conditioned **conditioned);
/* One more holder of what is held; NULL is nobody's. */
struct conditioned *conditionings_share(struct conditioned *conditioned);

/* Takes bytes from the budget, forgetting the longest unused conditionings as far as needed. */
enum status conditionings_make_room(struct conditionings *conditionings, size_t bytes);

#endif
