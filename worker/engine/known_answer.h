/* known_answer.h - a small picture that a model must get right before it takes work. */
#ifndef DARKROOM_WORKER_ENGINE_KNOWN_ANSWER_H
#define DARKROOM_WORKER_ENGINE_KNOWN_ANSWER_H

#include "worker/engine/engine.h"
#include "worker/engine/residence.h"

/* Runs a tiny job alone and again beside a stranger, through the engine's own calls, with *listener
 * replaced meanwhile: the picture must be finite, not flat, and both times the same. BROKEN
 * otherwise. No picture is stored: it would differ between processors. */
enum status known_answer_check(struct engine *engine, struct engine_listener *listener,
                               const struct resident *resident);

#endif
