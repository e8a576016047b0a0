/* vae_tiles.h - the decoder a tile a turn: the same picture, bit for bit, in less memory and in
 * steps that others need not wait for.
 *
 * It is a walk (vae_walk.h); the map behind a doubling is made twice instead of kept. So at any
 * time there is one map of the doubled size at its input's width, the small one it was made of, and
 * a band's scratch: README.md has the sums.
 */
#ifndef DARKROOM_WORKER_MODEL_VAE_TILES_H
#define DARKROOM_WORKER_MODEL_VAE_TILES_H

#include "worker/model/vae_walk.h"

/* Whether it can: no level may be wider than the one before it. (diffusers has none that is.) */
bool vae_tiles_can(const struct vae_facts *facts);

/* vae_run's part that falls in these turns. Every call walks through all of it, taking the same
 * memory at the same places: the pass's arena must be one block (device_block), given as it was
 * found, and its contents kept until the last turn. */
enum status vae_tiles_run(const struct pass *pass, const struct vae *vae,
                          const struct tensor *latents, const struct tensor *picture,
                          struct vae_turns *turns);

#endif
