/* tinies.h - the tiny decoders of a device: opened at the start, as control nets are, and found by
 * the model whose latents they decode. Private to this folder. */
#ifndef DARKROOM_WORKER_ENGINE_TINIES_H
#define DARKROOM_WORKER_ENGINE_TINIES_H

#include "proto/refusal.h"
#include "worker/engine/residence.h"

/* Opens the tiny decoders among the extras that go with one of its models, and gives each model the
 * first one that does: of its family, where the row has one, and for latents like its own. Others
 * are for other devices. Texts are copied into memory; the residence closes them. */
enum status tinies_open(struct arena *memory, struct device *device,
                        const struct engine_extra *extras, size_t count,
                        struct residence *residence);

/* The one of a model. BAD_INPUT with *why, of that field of the job, which lists what is there. */
enum status tinies_find(const struct residence *residence, const struct resident *resident,
                        const char *field, struct refusal *why, struct tiny_vae **out);

#endif
