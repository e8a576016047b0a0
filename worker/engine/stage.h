/* stage.h - a part of how a picture is made: one model, one size, one plan. Most jobs have one;
 * a refiner or a second pass at another size is one more.
 *
 * Filled at admission and only read from then on, but for rows_max. */
#ifndef DARKROOM_WORKER_ENGINE_STAGE_H
#define DARKROOM_WORKER_ENGINE_STAGE_H

#include "proto/darkroom.pb-c.h"
#include "proto/refusal.h"
#include "worker/engine/adapters_cache.h"
#include "worker/engine/conditionings.h"
#include "worker/engine/controls.h"
#include "worker/engine/words_cache.h"
#include "worker/sampler/plan.h"

/* What slot 0 is when a stage begins. */
enum stage_begin {
  BEGIN_NOISE,   /* noise alone */
  BEGIN_IMAGE,   /* the job's image, noised */
  BEGIN_KEEP,    /* what the stage before has left, as it is */
  BEGIN_LATENTS, /* the latents of the stage before at another size, noised */
  BEGIN_PIXELS   /* its picture at another size, encoded and noised */
};

struct stage {
  const struct resident *resident;
  enum stage_begin begin;
  struct plan plan;
  struct conditioned *cond;
  struct conditioned *uncond; /* NULL without guidance: then a picture is one row of a batch */
  struct condition positive, negative; /* their texts are the job's, there during admission only */
  bool guided;                         /* two rows: with what is wanted and with what is not */
  float guidance, rescale;
  const struct adapter_module *adapters; /* on the device, of all modules; NULL: none */
  const struct merged *merged;           /* weights in place of the model's; NULL: the model's */
  uint64_t merged_number;                /* that no others ever have; 0: none */
  struct stage_controls controls;
  bool keeps; /* a mask keeps the rest of the image as it is */
  int planes; /* channels behind the latents' that the model is told: mask and masked image */
  int width, height;               /* pixels */
  int latent_width, latent_height; /* cells */
  int rows_max;          /* rows of one U-Net call of this shape that the scratch memory allows */
  int64_t encode_turns;  /* that its picture becomes latents in (tiles.h); 0: at once, in one */
  int64_t decode_turns;  /* the same for its latents, which become a picture */
  struct tiny_vae *tiny; /* decodes the job's picture; NULL: the model's own decoder does */
  struct tiny_vae *previewer; /* makes its previews; NULL: they are the colours of its latents */
};

/* What a stage is asked to do of a job. */
struct stage_request {
  const Darkroom__V1__Job *job; /* with its defaults */
  const struct resident *resident;
  enum stage_begin begin;
  uint32_t width, height, steps;
  double strength;              /* of what begins with a picture or latents; else 1 */
  bool masked;                  /* a mask comes with the image */
  double from, to;              /* the part of the noise that is its own: 0 and 1 for all of it */
  double score, negative_score; /* of models that are told one */
};
/* Checks it against the model and fills the stage with everything but its conditionings; the plan
 * lies in memory. BAD_INPUT with *why when it can never be done here; EXHAUSTED. */
enum status stage_fill(const struct stage_request *request, struct arena *memory,
                       struct refusal *why, struct stage *out);
/* Its model is drawn with through these from now on; NULL: none. Held by the recipe. */
void stage_adapt(struct stage *stage, const struct adapted *adapted, const struct worded *worded);
/* Turns its prompts into conditionings, those that it does not hold yet. */
enum status stage_condition(struct stage *stage, struct conditionings *conditionings,
                            struct arena *scratch);
/* Lets go of them. */
void stage_close(struct stage *stage);

/* Rows that a picture takes in a batch: 2 with guidance. */
int stage_rows(const struct stage *stage);
/* Cells of its latent image. */
int64_t stage_cells(const struct stage *stage);
/* Whether a picture becomes latents before its first step. */
bool stage_encodes(const struct stage *stage);
/* Whether both are of one model and one shape: then their calls take the same memory. */
bool stage_same_shape(const struct stage *a, const struct stage *b);

#endif
