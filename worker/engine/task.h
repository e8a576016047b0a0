/* task.h - a job the engine has taken: what its images share, and how far they are. */
#ifndef DARKROOM_WORKER_ENGINE_TASK_H
#define DARKROOM_WORKER_ENGINE_TASK_H

#include "base/limits.h"
#include "proto/darkroom.pb-c.h"
#include "proto/refusal.h"
#include "worker/engine/conditionings.h"
#include "worker/engine/lane.h"
#include "worker/sampler/plan.h"

struct task {
  bool taken; /* false: a free row */
  char id[JOB_ID_BYTES_MAX + 1];
  uint64_t fence;
  uint64_t order; /* of admission */
  const struct resident *resident;
  struct arena *memory; /* the plan */
  struct plan plan;
  struct conditioned *cond;
  struct conditioned
      *uncond; /* NULL without guidance: then an image is one row of a batch instead of two */
  const char *prompt, *negative_prompt; /* borrowed from the job during admission only */
  float guidance;
  int width, height;               /* pixels */
  int latent_width, latent_height; /* cells */
  int rows_max;      /* rows of one U-Net call of this shape that the scratch memory allows */
  double weight;     /* of its lane */
  struct lane *lane; /* its class; NULL outside of an engine */
  double due; /* of the image that ended last, with its decode: its next one is not due before */
  uint64_t seed;
  uint32_t images, images_begun, images_done;
  uint32_t steps_done, steps_told; /* over all images */
  uint64_t encode_us, decode_us;
  int64_t denoise_began_ns, denoise_ended_ns;
};

/* Checks a job against what the model can do and fills the task with everything but its
 * conditionings. BAD_INPUT with *why when it can never be done here; EXHAUSTED without memory.
 * After a failure nothing is held. */
enum status task_open(const struct residence *residence, const Darkroom__V1__Job *job,
                      struct refusal *why, struct task *out);
/* Turns its prompts into conditionings, those that it does not hold yet. */
enum status task_condition(struct task *task, struct conditionings *conditionings,
                           struct arena *scratch);
/* Gives all back and frees the row. */
void task_close(struct task *task);

/* Rows that one image of it takes in a batch: 2 with guidance. */
int task_rows(const struct task *task);
/* Cells of its latent image. */
int64_t task_cells(const struct task *task);
uint32_t task_steps(const struct task *task);
/* Whether images of both can share a U-Net call. */
bool task_same_bucket(const struct task *a, const struct task *b);

#endif
