/* family.c - a folder's configs together: which family they make, and what they say of each other.
 */
#include "worker/model/family.h"

#include "worker/model/family_configs.h"

/* ---- what the files say of each other ---- */

static int text_width(const struct family *family) {
  int width = 0;
  for (int i = 0; i < family->row->text_encoders; i++) {
    width += family->clip[i].width;
  }
  return width;
}

static enum status check_channels(const struct family *family) {
  int in = family->unet.in_channels, out = family->unet.out_channels;
  int latents = family->vae.latent_channels;
  if (in == latents && out == latents) {
    return OK;
  }
  return fail_field(
      BAD_INPUT, "config",
      "unet/config.json: in_channels %d and out_channels %d must be the VAE's latent_channels %d",
      in, out, latents);
}

enum status family_check(const struct family *family) {
  int width = text_width(family);
  if (family->unet.cross_width != width) {
    return fail_field(BAD_INPUT, "config",
                      "unet/config.json: cross_attention_dim %d, but the text encoder gives %d",
                      family->unet.cross_width, width);
  }
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

/* SD 1 and SD 2 differ in what their configs say, and one of these is written in all of SD 2. */
static const struct family_row *row_of(const struct unet_facts *unet) {
  return family_find(unet->linear_projection ? "sd2" : "sd1");
}

static enum status read_encoders(const char *folder, const struct family_index *index,
                                 struct family *out) {
  for (int i = 0; i < out->row->text_encoders; i++) {
    TRY(clip_read(folder, out->row->place[i].encoder, &out->clip[i]));
    out->prompt[i] = index->rules[i];
  }
  return OK;
}

enum status family_read(const char *folder, struct family *out) {
  struct family family = {0};
  struct family_index index = {0};
  TRY(family_index_read(folder, &index));
  TRY(unet_read(folder, &family.unet));
  family.row = row_of(&family.unet);
  TRY(read_encoders(folder, &index, &family));
  TRY(vae_read(folder, &family.vae));
  TRY(noise_read(folder, family.row, &family.noise));
  family.scale_factor = 1 << (family.vae.levels - 1);
  family.zeros_when_empty = index.zeros;
  TRY(family_check(&family));
  *out = family;
  return OK;
}
