/* family.c - a folder's configs together: which family they make, and what they say of each other.
 */
#include "worker/model/family.h"

#include "worker/model/family_configs.h"

/* ---- what the files say of each other ---- */

#define REFUSE(...) fail_field(BAD_INPUT, "config", "unet/config.json: " __VA_ARGS__)

static int text_width(const struct family *family) {
  int width = 0;
  for (int i = 0; i < family->row->text_encoders; i++) {
    width += family->clip[i].width;
  }
  return width;
}

/* An inpainting model sees a mask and the latents of what is kept beside its own. */
static enum status check_channels(const struct family *family) {
  int in = family->unet.in_channels, out = family->unet.out_channels;
  int latents = family->vae.latent_channels;
  if ((in == latents || in == 2 * latents + 1) && out == latents) {
    return OK;
  }
  return REFUSE(
      "in_channels %d must be the VAE's latent_channels %d or, for inpainting, %d, and "
      "out_channels %d must be %d",
      in, latents, 2 * latents + 1, out, latents);
}

int addition_inputs(const struct addition_facts *addition) {
  return addition->pooled + addition->sizes * addition->width;
}

static enum status check_addition(const struct family *family) {
  const struct addition_facts *addition = &family->unet.addition;
  int projection = family->clip[family->row->text_encoders - 1].projection;
  if (addition->sizes > 0 && addition->pooled != projection) {
    return REFUSE(
        "projection_class_embeddings_input_dim has room for a pooled text of %d, but "
        "projection_dim "
        "is %d",
        addition->pooled, projection);
  }
  return OK;
}

/* Their hidden states stand side by side, token by token. */
static enum status check_positions(const struct family *family) {
  for (int i = 1; i < family->row->text_encoders; i++) {
    if (family->clip[i].positions != family->clip[0].positions) {
      return fail_field(
          BAD_INPUT, "config",
          "text_encoder_2/config.json: max_position_embeddings %d, but the first text "
          "encoder has %d",
          family->clip[i].positions, family->clip[0].positions);
    }
  }
  return OK;
}

enum status family_check(const struct family *family) {
  int width = text_width(family);
  if (family->unet.cross_width != width) {
    return REFUSE("cross_attention_dim %d, but the text encoder gives %d", family->unet.cross_width,
                  width);
  }
  TRY(check_addition(family));
  TRY(check_positions(family));
  return check_channels(family);
}

int family_encoder(const struct family *family, enum network network) {
  for (int i = 0; i < family->row->text_encoders; i++) {
    if (family->row->place[i].network == network) {
      return i;
    }
  }
  return -1;
}

/* ---- the whole ---- */

static const char *xl_name(const struct family_index *index) {
  return index->encoder[0] ? "sdxl" : "sdxl-refiner";
}

/* SD 1 and SD 2 differ in what their configs say, and one of these is written in all of SD 2. */
static const struct family_row *row_of(const struct family_index *index,
                                       const struct unet_facts *unet) {
  return family_find(index->xl ? xl_name(index) : unet->linear_projection ? "sd2" : "sd1");
}

static enum status check_score(const struct family_row *row, const struct family_index *index) {
  if (row->scored == index->scored) {
    return OK;
  }
  return fail_field(BAD_INPUT, "config",
                    "model_index.json: requires_aesthetics_score is %s; implemented for %s: %s",
                    index->scored ? "true" : "false", row->name, row->scored ? "true" : "false");
}

static enum status read_encoders(const char *folder, const struct family_index *index,
                                 struct family *out) {
  for (int i = 0; i < out->row->text_encoders; i++) {
    const struct encoder_place *place = &out->row->place[i];
    TRY(clip_read(folder, place, &out->clip[i]));
    out->prompt[i] = index->rules[place->network == NETWORK_TEXT_2];
  }
  return OK;
}

enum status family_read(const char *folder, struct family *out) {
  struct family family = {0};
  struct family_index index = {0};
  TRY(family_index_read(folder, &index));
  int sizes = index.xl ? family_find(xl_name(&index))->sizes : 0;
  TRY(unet_read(folder, sizes, &family.unet));
  family.row = row_of(&index, &family.unet);
  TRY(check_score(family.row, &index));
  TRY(read_encoders(folder, &index, &family));
  TRY(vae_read(folder, &family.vae));
  TRY(noise_read(folder, &index, &family.noise));
  family.scale_factor = 1 << (family.vae.levels - 1);
  family.zeros_when_silent = index.zeros;
  TRY(family_check(&family));
  *out = family;
  return OK;
}
