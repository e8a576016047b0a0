/* glimpses.h - small pictures of images on their way, every so many steps of an image: straight
 * from latents, a pixel a cell, or a tiny decoder's whole picture, brought to at most
 * PREVIEW_SIDE_PIXELS_MAX a side. Brought along by the turn that made the latents, told when it
 * has landed. Private to this folder. */
#ifndef DARKROOM_WORKER_ENGINE_GLIMPSES_H
#define DARKROOM_WORKER_ENGINE_GLIMPSES_H

#include "worker/engine/state.h"

/* At admission: the models of a recipe that wants previews know their colours from now on. Waits
 * for the device, once a model. */
enum status glimpses_prepare(struct engine *engine, const struct recipe *recipe);

/* Behind a batch that is queued: what brings the latents of those that are due. There is room for
 * some; who finds none comes with his next step. */
enum status glimpses_receive(struct engine *engine, const struct batch *batch,
                             struct flight *flight);
/* The flight has landed: tells them. */
void glimpses_tell(struct engine *engine, const struct flight *flight);

#endif
