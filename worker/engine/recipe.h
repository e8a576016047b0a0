/* recipe.h - what all images of a job share: its stages with their plans and prompts. Made at
 * admission, then only read; held by the job and by every turn in flight that may outlive it. */
#ifndef DARKROOM_WORKER_ENGINE_RECIPE_H
#define DARKROOM_WORKER_ENGINE_RECIPE_H

#include "worker/engine/stage.h"

#define STAGES_MAX 2 /* a model, and its refiner or a second pass at another size */

struct recipe {
  struct arena *memory; /* of the host: this struct too */
  int holders;
  int stages;
  const uint8_t *image, *mask; /* of the first stage's size, 3 bytes and 1 a pixel; NULL: none */
  struct arena *on_device;     /* hints of control nets; NULL: none */
  struct event *hinted;        /* behind what makes them */
  struct budget *budget;       /* that they are from, */
  size_t bytes;                /* and how many */
  struct adapted *adapted;     /* the job's adapters behind its model; NULL: none */
  struct worded *worded;       /* and its words */
  struct notes notes;
  uint32_t preview_every; /* steps of an image; 0: no previews */
  int slots;              /* the most that a plan has */
  bool draws;             /* whether any plan draws noise between rows */
  struct stage stage[STAGES_MAX];
};

/* Everything of a job with its defaults that needs no device, held once; what of the inputs is
 * needed later is copied. BAD_INPUT with *why when it can never be done here; EXHAUSTED without
 * memory. */
enum status recipe_open(const struct residence *residence, const Darkroom__V1__Job *job,
                        const struct engine_inputs *inputs, struct refusal *why,
                        struct recipe **out);
/* What the parts of it that lie on a device are made with. */
struct makers {
  struct device *device;
  struct budget *budget;
  struct conditionings *conditionings;
  struct adapters_cache *adapters; /* may be NULL for jobs without; words, too */
  struct words_cache *words;
  struct arena *scratch;
  uint64_t fence; /* of the job */
};
/* Makes those that it does not hold yet: adapters, words, prompts. BAD_INPUT, with the field of the
 * job's, for what its models cannot take; EXHAUSTED: what is made is kept for the next try;
 * UNAVAILABLE as adapters_hold. */
enum status recipe_prepare(struct recipe *recipe, const struct makers *makers,
                           const Darkroom__V1__Job *job, const struct engine_inputs *inputs);
/* One more holder. */
struct recipe *recipe_share(struct recipe *recipe);
/* One holder less; with the last one all of it goes. NULL and pointer to NULL are fine. */
void recipe_release(struct recipe **recipe);

/* Stages of the same model and shape have no more rows in a call from now on, but as many as one
 * picture needs. */
void recipe_lower(struct recipe *recipe, const struct stage *shape, int rows);

/* The stage whose memory this one goes on in: its own, or of those before it that which it keeps
 * the latents of. */
const struct stage *recipe_ground(const struct recipe *recipe, int stage);

/* Steps of the user's that one image takes, over all stages. */
uint32_t recipe_steps(const struct recipe *recipe);

#endif
