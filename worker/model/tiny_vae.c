/* tiny_vae.c - opening a tiny decoder, and running it. */
#include "worker/model/tiny_vae.h"

#include "worker/model/model.h"
#include "worker/model/tiny_vae_inside.h"

static const struct conv_options relu = {
    .stride = 1, .pad_before = 1, .pad_after = 1, .activation = ACTIVATION_RELU};
static const struct conv_options plain = {.stride = 1, .pad_before = 1, .pad_after = 1};

/* ---- opening ---- */

static enum status load(struct loader *loader, void *context) { return tiny_load(loader, context); }

enum status tiny_vae_open(struct device *device, const struct model_source *source,
                          const struct family *family, struct tiny_vae **out) {
  struct lone lone;
  struct tiny_facts facts;
  struct tiny_vae *tiny = NULL;
  TRY(tiny_facts_read(source, family, &facts));
  TRY(lone_open(device, &lone));
  tiny = arena_take_zeroed(lone.host, sizeof *tiny);
  if (tiny == NULL) {
    lone_close(&lone);
    return EXHAUSTED;
  }
  *tiny = (struct tiny_vae){.lone = lone, .facts = facts};
  enum status status =
      lone_load(&tiny->lone, source, NETWORK_TINY, &(struct lone_load){load, tiny});
  if (status != OK) {
    tiny_vae_close(&tiny);
    return status;
  }
  *out = tiny;
  return OK;
}

void tiny_vae_close(struct tiny_vae **pointer) {
  if (pointer == NULL || *pointer == NULL) {
    return;
  }
  struct lone lone = (*pointer)->lone; /* the struct itself lies in it */
  lone_close(&lone);
  *pointer = NULL;
}

size_t tiny_vae_bytes(const struct tiny_vae *tiny) { return tiny->lone.bytes; }

float tiny_vae_scale(const struct tiny_vae *tiny) { return 1 / tiny->facts.scaling_factor; }

/* ---- running ---- */

/* x is replaced. other and inner are of the same shape. */
static enum status block_run(const struct pass *pass, const struct tiny_block *block,
                             const struct tensor *x, const struct tensor *inner,
                             const struct tensor *other) {
  struct conv_options sum = relu;
  sum.residual = x;
  TRY(pass_conv(pass, x, block->conv[0], &relu, inner));
  TRY(pass_conv(pass, inner, block->conv[1], &relu, other));
  return pass_conv(pass, other, block->conv[2], &sum, x);
}

static enum status blocks_run(const struct pass *pass, const struct tiny_level *level, int blocks,
                              const struct tensor *x) {
  struct arena_mark mark = arena_mark(pass->arena);
  struct tensor inner, other;
  TRY(pass_take(pass, x->rank, x->shape, &inner));
  TRY(pass_take(pass, x->rank, x->shape, &other));
  for (int i = 0; i < blocks; i++) {
    TRY(block_run(pass, &level->block[i], x, &inner, &other));
  }
  arena_release(pass->arena, mark);
  return OK;
}

/* latents [1, H, W, C] activations are replaced; picture f32 [1, H * f, W * f, 3], -1 to 1. */
static enum status run(const struct pass *pass, const struct tiny_vae *tiny,
                       const struct tensor *latents, const struct tensor *picture) {
  int levels = tiny->facts.levels;
  struct tensor x;
  TRY(pass_activate(pass, ACTIVATION_SOFT_CLAMP, latents, latents));
  TRY(pass_take(
      pass, TENSOR_SHAPE(1, latents->shape[1], latents->shape[2], tiny->facts.channels[0]), &x));
  TRY(pass_conv(pass, latents, tiny->conv_in, &relu, &x));
  for (int i = 0; i < levels; i++) {
    TRY(blocks_run(pass, &tiny->level[i], tiny->facts.blocks[i], &x));
    if (i == levels - 1) {
      break;
    }
    struct tensor small = x;
    TRY(pass_take(pass, TENSOR_SHAPE(1, 2 * small.shape[1], 2 * small.shape[2], small.shape[3]),
                  &x));
    TRY(pass_upsample_conv(pass, &small, tiny->level[i].next, &x));
  }
  return pass_conv(pass, &x, tiny->level[levels - 1].next, &plain, picture);
}

/* Latents of height x width -> picture, taken from the pass's arena. */
static enum status decode(const struct pass *pass, const struct tiny_vae *tiny,
                          const struct batch_row *row, const int64_t size[2],
                          struct tensor *picture) {
  int64_t height = size[0], width = size[1], factor = 1 << (tiny->facts.levels - 1);
  int64_t channels = tiny->facts.latent_channels;
  struct tensor latents;
  TRY(pass_take_as(pass, ELEMENT_F32, TENSOR_SHAPE(1, factor * height, factor * width, 3),
                   picture));
  TRY(pass_take(pass, TENSOR_SHAPE(1, height, width, channels), &latents));
  TRY(pass_gather(pass, row, channels, &latents));
  return run(pass, tiny, &latents, picture);
}

static enum status decode_to_pixels(struct tiny_vae *tiny, struct arena *turn,
                                    const struct decode *to) {
  struct device *device = tiny->lone.device;
  struct pass pass = lone_pass(&tiny->lone, turn);
  int64_t factor = 1 << (tiny->facts.levels - 1);
  const int64_t size[2] = {to->pixels.shape[0] / factor, to->pixels.shape[1] / factor};
  struct tensor picture;
  TRY(decode(&pass, tiny, to->row, size, &picture));
  TRY(op_finite(device, &picture, &to->finite));
  struct tensor batch = tensor_view(&to->pixels, picture.rank, picture.shape);
  return op_pixels(device, &picture, &batch);
}

enum status tiny_vae_decode(struct tiny_vae *tiny, struct arena *turn, const struct decode *to) {
  struct arena_mark mark = arena_mark(turn);
  enum status status = decode_to_pixels(tiny, turn, to);
  arena_release(turn, mark);
  return status;
}

static enum status decode_dry(const struct pass *pass, const void *context,
                              const struct tensor *latents) {
  struct tensor picture;
  return decode(pass, context, NULL, latents->shape, &picture);
}

size_t tiny_vae_decode_bytes(const struct tiny_vae *tiny, int height, int width) {
  struct tensor latents = {.rank = 2, .shape = {height, width, 1, 1}};
  return lone_dry_bytes(&tiny->lone, decode_dry, tiny, &latents);
}
