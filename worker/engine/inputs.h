/* inputs.h - what a job brings along, looked at before any work. Private to this folder. */
#ifndef DARKROOM_WORKER_ENGINE_INPUTS_H
#define DARKROOM_WORKER_ENGINE_INPUTS_H

#include "proto/refusal.h"
#include "worker/engine/engine.h"

/* Whether a job's fields and the inputs that came with it say the same, and all of it can be done.
 * BAD_INPUT with *why, which names the field. inputs may be NULL. */
enum status inputs_check(const Darkroom__V1__Job *job, const struct engine_inputs *inputs,
                         struct refusal *why);
/* The index-th of its kind; NULL when there is none. */
const struct engine_input *inputs_find(const struct engine_inputs *inputs, enum input_kind kind,
                                       uint32_t index);
/* BAD_INPUT with *why unless a picture has that size and its bytes are as many as that. */
enum status inputs_check_picture(const struct engine_input *input, uint32_t width, uint32_t height,
                                 struct refusal *why);

#endif
