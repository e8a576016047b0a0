/* conditionings.h - what is to be drawn, already turned into what a U-Net or a control net needs of
 * it: by model and all that a condition says, shared, counted, kept while there is room. The empty
 * negative prompt of every job is the best customer.
 */
#ifndef DARKROOM_WORKER_ENGINE_CONDITIONINGS_H
#define DARKROOM_WORKER_ENGINE_CONDITIONINGS_H

#include <stdbool.h>

#include "kernels/queue.h"
#include "worker/engine/budget.h"
#include "worker/engine/residence.h"
#include "worker/engine/shelf.h"
#include "worker/model/condition.h"

#define CONDITIONINGS_MAX (4 * SAMPLES_MAX)

struct conditionings;

/* One cached condition. Valid between hold and release. */
struct conditioned {
  struct held held;
  struct conditioning conditioning;
  struct condition_report report;
  const struct resident *resident;
  struct condition condition; /* its prompt lies in `text` */
  const struct control *net;  /* whose it is; NULL: the model's own U-Net's */
  struct conditioned *of;     /* of a net: the model's own, which it is made from and holds */
  struct arena *memory;       /* on the device */
  struct arena *text;
  struct event *ready; /* behind the work that made it */
};

/* Takes its table from memory; budget and device are borrowed. */
enum status conditionings_open(struct arena *memory, struct device *device, struct budget *budget,
                               struct conditionings **out);
void conditionings_close(struct conditionings **conditionings);

/* Finds or makes the conditioning of a condition and holds it. scratch is released again. EXHAUSTED
 * when there is no room even without those that nobody holds; BAD_INPUT as model_condition. */
enum status conditionings_hold(struct conditionings *conditionings, const struct resident *resident,
                               struct arena *scratch, const struct condition *condition,
                               struct conditioned **out);
/* The same for a control net, from what the model made of it. */
enum status conditionings_hold_for(struct conditionings *conditionings, struct control *net,
                                   struct arena *scratch, struct conditioned *of,
                                   struct conditioned **out);
void conditionings_release(struct conditioned **conditioned);

/* Takes bytes from the budget, forgetting the longest unused conditionings as far as needed, then
 * what others keep there. */
enum status conditionings_make_room(struct conditionings *conditionings, size_t bytes);
/* Who else keeps things in the budget that can be made again: each is asked to forget the longest
 * unused of them; false when it has none. */
struct forgetful {
  bool (*forget_oldest)(void *context);
  void *context;
};
#define FORGETFUL_MAX 3
void conditionings_ask_also(struct conditionings *conditionings, struct forgetful other);
/* Forgets those that were made with an adaptation or with embeddings which are about to go; nobody
 * holds them. */
void conditionings_forget(struct conditionings *conditionings,
                          const void *adaptation_or_embeddings);
/* Forgets those of a model whose weights go; nobody holds them. */
void conditionings_forget_model(struct conditionings *conditionings,
                                const struct resident *resident);

#endif
