/* sample.h - one image in the making: its latents, how far it is in its plan, its own noise. The
 * only mutable thing.
 *
 * All its memory is taken when it begins, so no step can run out. slots, cursor and random are its
 * whole state: written down after any row and put back elsewhere, it ends in the same bytes.
 */
#ifndef DARKROOM_WORKER_ENGINE_SAMPLE_H
#define DARKROOM_WORKER_ENGINE_SAMPLE_H

#include "kernels/device.h"
#include "kernels/queue.h"
#include "kernels/random.h"
#include "kernels/tensor.h"
#include "worker/engine/bucket.h"
#include "worker/engine/task.h"

struct sample {
  struct task *task; /* NULL: a free slot */
  uint64_t life;     /* counts the images that were ever in this engine: tells one from the next */
  uint32_t index;    /* of the image in its job */
  int stage;         /* of the recipe */
  int cursor;        /* the next row of the stage's plan to be queued */
  struct bucket bucket;  /* whom that row can share a call with */
  bool drawn;            /* the noise of that row has been drawn already */
  bool decoding;         /* its decode is in flight */
  uint64_t last_turn;    /* the last turn it was on board of; 0: none yet */
  struct event *arrival; /* behind the copies of its first noise, until a turn follows it */
  struct arena *memory;
  struct tensor slots;   /* f32 [S, H, W, C] on the device */
  struct tensor latents; /* slot 0, [H, W, C] */
  struct tensor noise;   /* f32 [H, W, C] on the device; data NULL when the plan draws none */
  struct random random;  /* seeded with the job's seed + index */
  double due;            /* its virtual time within its lane (lane.h) */
};

/* Where noise is drawn on the host: two pieces of the largest latent image each. */
struct drawing_room {
  float *values;
  float *scratch;
};

/* Bytes on the device that a sample takes. */
size_t sample_bytes(const struct recipe *recipe);

/* Begins image `index` of the task: takes its memory and draws its initial noise, which goes there
 * on a queue of its own. */
enum status sample_open(struct sample *sample, struct device *device, struct task *task,
                        uint32_t index, const struct drawing_room *room);
/* When no turn in flight uses it. */
void sample_close(struct sample *sample);
/* The same for one that a turn in flight uses: the caller gets its memory. */
struct arena *sample_abandon(struct sample *sample);

/* Where it is. */
struct stage *sample_stage(const struct sample *sample);
const struct plan_row *sample_row(const struct sample *sample);
bool sample_ended(const struct sample *sample);
/* What is queued from here on finds its latents there and has the fresh noise that the row at the
 * cursor needs, if it needs any; drawn once, however often the row is tried. */
enum status sample_prepare(struct sample *sample, struct device *device,
                           const struct drawing_room *room);
/* The row at the cursor has been queued. Whether a step of the user's ends with it. */
bool sample_advanced(struct sample *sample);

#endif
