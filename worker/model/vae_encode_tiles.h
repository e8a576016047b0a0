/* vae_encode_tiles.h - the encoder a tile a turn: the same moments, bit for bit, in less memory and
 * in steps that others need not wait for. A walk (vae_walk.h): at any time there are two maps of a
 * level's size, and where it grows wider a third, of what it was made of.
 */
#ifndef DARKROOM_WORKER_MODEL_VAE_ENCODE_TILES_H
#define DARKROOM_WORKER_MODEL_VAE_ENCODE_TILES_H

#include "worker/model/vae_walk.h"

/* Whether it can: no level may be narrower than the one before it, nor so wide that its map of half
 * the size is larger than what it was made of. (diffusers has none that is.) */
bool vae_encode_tiles_can(const struct vae_facts *facts);

/* vae_encode's part that falls in these turns; as vae_tiles_run. */
enum status vae_encode_tiles_run(const struct pass *pass, const struct vae *vae,
                                 const struct tensor *picture, const struct tensor *moments,
                                 struct vae_turns *turns);

#endif
