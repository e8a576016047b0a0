/* controls.h - the control nets of a job: what they make of their pictures once, and when they are
 * on. Part of a stage. */
#ifndef DARKROOM_WORKER_ENGINE_CONTROLS_H
#define DARKROOM_WORKER_ENGINE_CONTROLS_H

#include "proto/refusal.h"
#include "worker/engine/conditionings.h"
#include "worker/model/control.h"

/* A net over a stage, in the order of the nets' numbers: so are sums, whoever draws along. */
struct stage_control {
  const struct net *net;
  uint32_t index;  /* of the job's controls */
  int first, last; /* rows of the plan [first, last) in which it is on */
  bool guess;      /* the unconditioned half gets nothing */
  float scale[CONTROL_SKIPS_MAX];
  struct tensor hint;                /* on the device */
  struct conditioned *cond, *uncond; /* the net's own */
};
struct stage_controls {
  int count;
  struct stage_control row[CONTROLS_MAX];
};

/* What a job says of its nets, for a stage of so many rows. BAD_INPUT with *why: a net that is not
 * here, or is none for the model. */
enum status controls_fill(const struct residence *residence, const struct resident *resident,
                          const Darkroom__V1__Job *job, int rows, struct refusal *why,
                          struct stage_controls *out);
/* Bytes on the device of all hints for latents of height x width. */
size_t controls_bytes(const struct stage_controls *controls, struct device *device, int height,
                      int width);
/* Scratch bytes that a U-Net call of so many rows takes more, and what is done once takes, at most.
 */
size_t controls_run_bytes(const struct stage_controls *controls, int rows, int height, int width);
size_t controls_once_bytes(const struct stage_controls *controls, int height, int width);

/* A picture of the job's, RGB. */
struct control_picture {
  int width, height; /* pixels of the stage */
  const uint8_t *rgb;
};
/* Makes the hint of one net from its picture, in keep; scratch is given back. */
enum status control_make_hint(struct stage_control *control, struct device *device,
                              struct arena *keep, struct arena *scratch,
                              const struct control_picture *picture);
bool control_is_on(const struct stage_control *control, int row);

#endif
