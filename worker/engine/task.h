/* task.h - a job the engine has taken: how far its images are, and whose turn they are. How they
 * are made is its recipe. */
#ifndef DARKROOM_WORKER_ENGINE_TASK_H
#define DARKROOM_WORKER_ENGINE_TASK_H

#include "base/limits.h"
#include "proto/darkroom.pb-c.h"
#include "proto/refusal.h"
#include "worker/engine/lane.h"
#include "worker/engine/recipe.h"

struct task {
  bool taken; /* false: a free row */
  char id[JOB_ID_BYTES_MAX + 1];
  uint64_t fence;
  uint64_t order; /* of admission */
  struct recipe *recipe;
  double weight;     /* of its lane */
  struct lane *lane; /* its class; NULL outside of an engine */
  double due; /* of the image that ended last, with its decode: its next one is not due before */
  uint64_t seed;
  uint32_t images, images_begun, images_done;
  uint32_t steps_done, steps_told; /* over all images */
  uint64_t encode_us, decode_us;
  int64_t denoise_began_ns, denoise_ended_ns;
};

/* Checks a job and its inputs (NULL: none) against what the models can do and fills the task with
 * everything but its conditionings. BAD_INPUT with *why when it can never be done here; EXHAUSTED
 * without memory. After a failure nothing is held. */
enum status task_open(const struct residence *residence, const Darkroom__V1__Job *job,
                      const struct engine_inputs *inputs, struct refusal *why, struct task *out);
/* Makes what of its recipe lies on a device (recipe.h). */
enum status task_prepare(struct task *task, const struct makers *makers,
                         const Darkroom__V1__Job *job, const struct engine_inputs *inputs);
/* Gives all back and frees the row. */
void task_close(struct task *task);

/* Steps of all its images and stages. */
uint32_t task_steps(const struct task *task);

#endif
