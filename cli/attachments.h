/* attachments.h - what a job brings besides words and numbers: pictures, adapters, embeddings, and
 * the second stages that name a model. */
#ifndef DARKROOM_CLI_ATTACHMENTS_H
#define DARKROOM_CLI_ATTACHMENTS_H

#include "base/arena.h"
#include "cli/blobs.h"
#include "cli/options.h"

/* Adds to the job what --image, --mask, --pad, --control, --lora, --embedding, --upscale, --refiner
 * and --sizes say, and checks it again. Local files travel in the job as long as there is room; the
 * luggage (options and arena in it, else zero) notes those that are to be put into --store before
 * the job is sent. Texts and bytes live in the arena. BAD_INPUT fills *why; nothing has been sent
 * anywhere. */
enum status attachments_add(struct luggage *luggage, Darkroom__V1__Job *job, struct refusal *why);

#endif
