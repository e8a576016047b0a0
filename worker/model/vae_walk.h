/* vae_walk.h - a walk through one side of an autoencoder, of which some turns are computed: what
 * vae_tiles.h and vae_encode_tiles.h are made of.
 *
 * A tile is a band of whole rows. Layers are walked one after another over whole maps [1, H, W, C],
 * so that every group norm sees all of the picture, and a layer's bands one after another, each
 * with the rows above and below that its convolution looks at. What a layer gives takes the place
 * of what it was made of.
 */
#ifndef DARKROOM_WORKER_MODEL_VAE_WALK_H
#define DARKROOM_WORKER_MODEL_VAE_WALK_H

#include "worker/model/vae.h"

/* Which turns a call computes. `all` is filled: how many there are. */
struct vae_turns {
  int64_t first, count;
  int64_t band_bytes; /* of scratch, about, and then attention goes row by row; 0: what is good */
  int64_t all;
};

struct walk {
  const struct pass *pass;
  struct vae_turns *turns;
};
/* The pass of the next turn: dry where it is not one of those that are computed. */
struct pass walk_turn(const struct walk *walk);

/* ---- maps and bands ---- */

/* Rows of a map; a map of other channels that begins where this one does; its pixels one after
 * another. */
struct tensor map_rows(const struct tensor *map, int64_t first, int64_t count);
struct tensor map_at(const struct tensor *map, int64_t channels);
struct tensor map_tokens(const struct tensor *map);
/* To a place of the same size. */
enum status map_copy(const struct pass *pass, const struct tensor *from, const struct tensor *to);

/* Rows [first, end) of a map of `height`, and whether there are rows above and below. */
struct band {
  int64_t first, end, above, below;
};
/* The band that begins at `first`; each of its rows takes `row` values of scratch. */
struct band walk_band(const struct walk *walk, int64_t first, int64_t height, int64_t row);
/* The band's rows with those around it, and as many rows of other channels, taken. */
struct tensor band_around(const struct tensor *map, const struct band *band);
enum status band_take(const struct pass *pass, const struct tensor *rows, int64_t channels,
                      struct tensor *out);
/* The band itself, out of what was made of it with the rows around it: to its rows of `map`. */
enum status band_put(const struct pass *pass, const struct tensor *made, const struct band *band,
                     const struct tensor *map);

/* ---- layers ---- */

/* y = silu(norm(x)); y may be x. */
enum status walk_norm(const struct walk *walk, const struct tensor *x, const struct norm *norm,
                      const struct tensor *y);
/* x becomes conv(x), of no more channels. */
enum status walk_conv(const struct walk *walk, const struct weight *conv, struct tensor *x);
/* y += conv(x) */
enum status walk_conv_onto(const struct walk *walk, const struct weight *conv,
                           const struct tensor *x, const struct tensor *y);
/* x becomes all residual blocks of a level from `first` on, or a middle, none of more channels;
 * spare has room for as much as x. */
enum status walk_layers(const struct walk *walk, const struct vae_level *level, int first,
                        const struct tensor *spare, struct tensor *x);
enum status walk_middle(const struct walk *walk, const struct vae *vae,
                        const struct vae_middle *middle, const struct tensor *spare,
                        struct tensor *x);

#endif
