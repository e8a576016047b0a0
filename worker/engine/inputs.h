/* inputs.h - what a job brings along, looked at before any work. Private to this folder. */
#ifndef DARKROOM_WORKER_ENGINE_INPUTS_H
#define DARKROOM_WORKER_ENGINE_INPUTS_H

#include "proto/refusal.h"
#include "worker/engine/engine.h"

/* The job's field that inputs of this kind belong to. */
const char *input_field(enum input_kind kind);
/* BAD_INPUT with *why, which names the field: this engine can do nothing with it. inputs may be
 * NULL. */
enum status inputs_check(const struct engine_inputs *inputs, struct refusal *why);

#endif
