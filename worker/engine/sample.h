/* sample.h - one image in the making: its latents, how far it is in its plan, its own noise. The
 * only mutable thing.
 *
 * All its memory is taken when it begins, so no step can run out. Its latents, cursor and random
 * are its whole state (record.h): written down after any row and put back elsewhere, it ends in the
 * same bytes. What they are in the beginning stands in beginning.h.
 */
#ifndef DARKROOM_WORKER_ENGINE_SAMPLE_H
#define DARKROOM_WORKER_ENGINE_SAMPLE_H

#include "kernels/device.h"
#include "kernels/queue.h"
#include "kernels/random.h"
#include "kernels/tensor.h"
#include "worker/engine/bucket.h"
#include "worker/engine/task.h"

/* What an image waits for next. */
enum sample_need {
  NEED_ENCODE, /* a picture of the job's as latents: sample->encode says which */
  NEED_STEP,
  NEED_FETCH, /* its latents on the host: they go on at another size */
  NEED_DECODE /* its latents as a picture: the job's, or one that goes on at another size */
};

/* Pictures that become latents before the first step. */
enum sample_encode {
  ENCODE_NONE,
  ENCODE_IMAGE, /* the job's image */
  ENCODE_MASKED /* what of it the mask leaves, for models that are told so */
};

struct sample {
  struct task *task;         /* NULL: a free slot */
  uint64_t life;             /* counts the images that were ever in this engine */
  uint32_t index;            /* of the image in its job */
  int stage;                 /* of the recipe */
  int cursor;                /* the next row of the stage's plan to be queued */
  enum sample_encode encode; /* the next picture to be encoded */
  struct bucket bucket;      /* whom the row at the cursor can share a call with */
  bool stale;                /* slots behind the first hold what a stage before has left there */
  bool drawn;                /* the noise of that row has been drawn already */
  bool away;                 /* a turn of its own, not a step, is in flight for it */
  int64_t tiles;             /* of its encode or decode in turns, queued so far (tiles.h) */
  uint64_t tiles_us;         /* that they took */
  uint32_t steps, previewed; /* of the user's: queued so far, and when it was last looked at */
  uint64_t last_turn;        /* the last turn it was on board of; 0: none yet */
  struct event *arrival;     /* behind copies to its memory, until a turn follows it */
  struct arena *memory;
  struct arena *on_host;      /* of a picture that goes on at another size; NULL: none does */
  uint8_t *picture;           /* it, RGB, at the size of the stage that it begins */
  struct tensor slots;        /* f32 [S, H, W, C] on the device */
  struct tensor latents;      /* slot 0, [H, W, C] */
  struct tensor noise;        /* f32 [H, W, C] on the device; data NULL when the plan draws none */
  struct tensor clean, begun; /* with a mask that keeps, f32 [H, W, C]: the image's latents, and the
                                 noise that it began with; data NULL without */
  struct tensor mask;         /* the same, f32 [H, W] */
  struct tensor planes;       /* f32 [H, W, P] of models that are told the mask; data NULL else */
  struct random random;       /* seeded with the job's seed + index */
  double due;                 /* its virtual time within its lane (lane.h) */
};

/* Where latents are made on the host: pieces of the largest latent image each. */
struct drawing_room {
  float *values;
  float *scratch;
  float *clean;
  float *planes; /* the same beside a mask's channel */
};

/* Bytes that a sample takes: on the device, and of a picture that it holds itself. */
size_t sample_bytes(const struct recipe *recipe);
/* Bytes of one latent image of the stage in f32, and its channels. */
size_t latent_bytes(const struct stage *stage);
int latent_channels(const struct stage *stage);

/* Takes the memory of image `index` of the task and seeds its generator; sample_open (beginning.h)
 * begins it. */
enum status sample_take(struct sample *sample, struct device *device, struct task *task,
                        uint32_t index);
/* When no turn in flight uses it. */
void sample_close(struct sample *sample);
/* The same for one that a turn in flight uses: the caller gets its memory. */
struct arena *sample_abandon(struct sample *sample);

/* It goes on to that stage: its memory is divided anew, what lay there is lost. No turn in flight
 * uses it. */
enum status sample_enter(struct sample *sample, int stage);

/* Where it is. */
struct stage *sample_stage(const struct sample *sample);
const struct plan_row *sample_row(const struct sample *sample);
enum sample_need sample_needs(const struct sample *sample);
/* Turns of the encode or decode that it waits for, or waits for the rest of; 0: it goes at once, or
 * it waits for something else. And whether there are any. */
int64_t sample_turns(const struct sample *sample);
bool sample_in_tiles(const struct sample *sample);
/* Whether the plan of its last stage has been queued to its end. */
bool sample_ended(const struct sample *sample);
/* Stage, cursor or what is to be encoded has changed: so has its bucket. */
void sample_moved(struct sample *sample);
/* The next piece of its noise, into room->values. */
void sample_draw(struct sample *sample, const struct drawing_room *room);
/* The picture that it encodes, RGB, and its mask at a pixel, at the size of its stage. */
const uint8_t *sample_picture(const struct sample *sample);
uint8_t sample_mask_at(const struct sample *sample, int y, int x);
/* Zeros in all slots but the first. */
enum status sample_clear(struct sample *sample, struct device *device,
                         const struct drawing_room *room);

/* What is queued from here on finds its latents there and has the fresh noise that the row at the
 * cursor needs, if it needs any; drawn once, however often the row is tried. */
enum status sample_prepare(struct sample *sample, struct device *device,
                           const struct drawing_room *room);
/* The row at the cursor has been queued. Whether a step of the user's ends with it. */
bool sample_advanced(struct sample *sample);

#endif
