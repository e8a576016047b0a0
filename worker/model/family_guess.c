/* family_guess.c - counting layers and looking at sides. */
#include "worker/model/family_guess.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/limits.h"
#include "worker/model/family_configs.h"
#include "worker/model/layer_name.h"
#include "worker/model/weights.h"

#define REFUSE(...) fail_field(BAD_INPUT, "weights", __VA_ARGS__)

/* What the configs on the hub say and no tensor does. */
struct usual {
  const char *family;
  int heads;      /* of every level; 0: as many as HEAD_WIDTH goes into its channels */
  int side;       /* latent cells of the model's own size */
  float scaling;  /* of the VAE */
  bool overflows; /* the VAE, in f16 */
  enum prediction prediction;
  enum spacing spacing;
  bool zeros; /* no negative prompt is zeros */
};
#define HEAD_WIDTH 64 /* of text encoders, too */
static const struct usual usuals[FAMILY_COUNT] = {
    {"sd1", 8, 64, 0.18215f, false, PREDICTION_EPSILON, SPACING_DEFAULT, false},
    {"sd2", 0, 96, 0.18215f, false, PREDICTION_V, SPACING_DEFAULT, false},
    {"sdxl", 0, 128, 0.13025f, true, PREDICTION_EPSILON, SPACING_LEADING, true},
    {"sdxl-refiner", 0, 128, 0.13025f, true, PREDICTION_EPSILON, SPACING_LEADING, false},
};

/* ---- looking ---- */

static int side(const struct weights *weights, const char *name, int axis) {
  return (int)weights_side(weights, name, axis);
}

/* How many there are of a name with one number in it: 0, 1, 2, ... */
__attribute__((format(printf, 3, 4))) static int count(const struct weights *weights, int max,
                                                       const char *format, ...) {
  char pattern[SAFETENSORS_NAME_BYTES_MAX];
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(pattern, sizeof pattern, format, arguments);
  va_end(arguments);
  const char *at = strchr(pattern, '#');
  int number = 0;
  while (number <= max &&
         weights_has(weights,
                     name_of("%.*s%d%s", (int)(at - pattern), pattern, number, at + 1).text)) {
    number++;
  }
  return number;
}

static enum status refuse_count(const char *what, int found, int max) {
  return found < 1 ? REFUSE("the single file has no %s", what)
                   : REFUSE("the single file has more than %d %s", max, what);
}

/* ---- U-Net ---- */

static bool attends(const struct weights *weights, const char *way, int level) {
  return weights_has(weights, name_of("%s.%d.attentions.0.norm.weight", way, level).text);
}

/* Those of a level without a transformer are never asked for; the last one's are the middle's. */
static int transformer_layers(const struct weights *weights, const struct unet_facts *unet,
                              int level) {
  if (level == unet->levels - 1) {
    return count(weights, 100, "mid_block.attentions.0.transformer_blocks.#.norm1.weight");
  }
  return unet->attention_down[level]
             ? count(weights, 100, "down_blocks.%d.attentions.0.transformer_blocks.#.norm1.weight",
                     level)
             : 1;
}

static void guess_level(const struct weights *weights, const struct usual *usual, int level,
                        struct unet_facts *out) {
  out->channels[level] =
      side(weights, name_of("down_blocks.%d.resnets.0.conv1.weight", level).text, 0);
  out->attention_down[level] = attends(weights, "down_blocks", level);
  out->attention_up[level] = attends(weights, "up_blocks", level);
  out->transformer_layers[level] = transformer_layers(weights, out, level);
  out->heads[level] = usual->heads > 0 ? usual->heads : out->channels[level] / HEAD_WIDTH;
}

static enum status check_level(const struct unet_facts *unet, int level) {
  int channels = unet->channels[level], heads = unet->heads[level];
  if (channels < 1 || heads < 1 || channels % heads != 0 || channels % unet->groups != 0) {
    return REFUSE(
        "the single file's U-Net has %d channels in level %d, which its family does not have "
        "(configs = FOLDER in the model table says otherwise)",
        channels, level);
  }
  return OK;
}

static enum status guess_unet(const struct weights *weights, const struct usual *usual, int sizes,
                              struct unet_facts *out) {
  static const char cross[] = "mid_block.attentions.0.transformer_blocks.0.attn2.to_k.weight";
  struct unet_facts unet = {.groups = 32, .epsilon = 1e-5f, .sample_side = usual->side};
  unet.levels = count(weights, UNET_LEVELS_MAX, "down_blocks.#.resnets.0.conv1.weight");
  if (unet.levels < 1 || unet.levels > UNET_LEVELS_MAX) {
    return refuse_count("levels of a U-Net", unet.levels, UNET_LEVELS_MAX);
  }
  unet.layers_per_block = count(weights, UNET_LAYERS_MAX, "down_blocks.0.resnets.#.conv1.weight");
  if (unet.layers_per_block > UNET_LAYERS_MAX) {
    return refuse_count("layers of a block", unet.layers_per_block, UNET_LAYERS_MAX);
  }
  for (int level = 0; level < unet.levels; level++) {
    guess_level(weights, usual, level, &unet);
    TRY(check_level(&unet, level));
  }
  unet.in_channels = side(weights, "conv_in.weight", 1);
  unet.out_channels = side(weights, "conv_out.weight", 0);
  unet.cross_width = side(weights, cross, 1);
  unet.linear_projection = weights_rank(weights, "mid_block.attentions.0.proj_in.weight") == 2;
  unet.guidance_width = side(weights, "time_embedding.cond_proj.weight", 1);
  if (sizes > 0) {
    unet.addition.sizes = sizes;
    unet.addition.width = 256;
    unet.addition.pooled = side(weights, "add_embedding.linear_1.weight", 1) - sizes * 256;
  }
  *out = unet;
  return OK;
}

/* ---- VAE ---- */

static enum status guess_vae(const struct weights *weights, const struct usual *usual,
                             struct vae_facts *out) {
  struct vae_facts vae = {.groups = 32, .scaling_factor = usual->scaling};
  vae.levels = count(weights, UNET_LEVELS_MAX, "decoder.up_blocks.#.resnets.0.conv1.weight");
  if (vae.levels < 1 || vae.levels > UNET_LEVELS_MAX) {
    return refuse_count("levels of a VAE's decoder", vae.levels, UNET_LEVELS_MAX);
  }
  for (int level = 0; level < vae.levels; level++) {
    int up = vae.levels - 1 - level;
    vae.channels[level] =
        side(weights, name_of("decoder.up_blocks.%d.resnets.0.conv1.weight", up).text, 0);
  }
  vae.layers_per_block =
      count(weights, UNET_LAYERS_MAX, "decoder.up_blocks.0.resnets.#.conv1.weight") - 1;
  vae.latent_channels = side(weights, "decoder.conv_in.weight", 1);
  if (vae.latent_channels < 1 || vae.latent_channels > VAE_CHANNELS_MAX) {
    return refuse_count("channels of latents", vae.latent_channels, VAE_CHANNELS_MAX);
  }
  for (int i = 0; i < vae.latent_channels; i++) {
    vae.deviation[i] = 1;
  }
  vae.mid_attention = weights_has(weights, "decoder.mid_block.attentions.0.to_q.weight");
  vae.quant = weights_has(weights, "quant_conv.weight");
  vae.post_quant = weights_has(weights, "post_quant_conv.weight");
  vae.precision = usual->overflows ? PRECISION_RANGE : PRECISION_FAST;
  *out = vae;
  return OK;
}

/* ---- text encoders ---- */

/* OpenAI's has 768 channels; the others were trained by OpenCLIP. */
static enum status guess_clip(const struct weights *weights, bool open_clip,
                              struct clip_facts *out) {
  struct clip_facts clip = {.epsilon = 1e-5f};
  clip.vocabulary = side(weights, "text_model.embeddings.token_embedding.weight", 0);
  clip.width = side(weights, "text_model.embeddings.token_embedding.weight", 1);
  clip.positions = side(weights, "text_model.embeddings.position_embedding.weight", 0);
  clip.layers = count(weights, 100, "text_model.encoder.layers.#.layer_norm1.weight");
  clip.inner = side(weights, "text_model.encoder.layers.0.mlp.fc1.weight", 0);
  clip.heads = clip.width / HEAD_WIDTH;
  clip.activation = open_clip ? ACTIVATION_GELU : ACTIVATION_QUICK_GELU;
  clip.projection = side(weights, "text_projection.weight", 0);
  clip.end = clip.vocabulary - 1;
  if (clip.layers < 1 || clip.heads < 1 || clip.width % HEAD_WIDTH != 0 || clip.vocabulary < 3) {
    return REFUSE("the single file's text encoder has %d layers of %d channels and %d tokens",
                  clip.layers, clip.width, clip.vocabulary);
  }
  *out = clip;
  return OK;
}

/* ---- what there is room for ---- */

/* A file's sides are as untrusted as a config's numbers, and are held to the same limits. */
static enum status check_side(const char *what, int found, int least, int most) {
  return found >= least && found <= most
             ? OK
             : REFUSE("the single file has %d %s, allowed are %d to %d", found, what, least, most);
}

static enum status check_unet_sides(const struct unet_facts *unet) {
  for (int level = 0; level < unet->levels; level++) {
    TRY(check_side("channels in a level of the U-Net", unet->channels[level], 1, WIDTH_MAX));
    bool last = level == unet->levels - 1; /* its transformer is the middle's */
    if (last || unet->attention_down[level] || unet->attention_up[level]) {
      TRY(check_side("layers in a transformer", unet->transformer_layers[level], 1,
                     TRANSFORMER_LAYERS_MAX));
    }
  }
  return unet->guidance_width == 0
             ? OK
             : check_side("numbers that tell the U-Net its guidance", unet->guidance_width,
                          GUIDANCE_WIDTH_MIN, WIDTH_MAX);
}

static enum status check_vae_sides(const struct vae_facts *vae) {
  for (int level = 0; level < vae->levels; level++) {
    TRY(check_side("channels in a level of the VAE", vae->channels[level], 1, WIDTH_MAX));
    if (vae->channels[level] % vae->groups != 0) {
      return REFUSE("the single file's VAE has %d channels in a level, not a multiple of %d",
                    vae->channels[level], vae->groups);
    }
  }
  return check_side("layers in a level of the VAE", vae->layers_per_block, 1, UNET_LAYERS_MAX);
}

static enum status check_sides(const struct family *family) {
  TRY(check_unet_sides(&family->unet));
  TRY(check_vae_sides(&family->vae));
  for (int i = 0; i < family->row->text_encoders; i++) {
    const struct clip_facts *clip = &family->clip[i];
    TRY(check_side("positions in a text encoder", clip->positions, 3, TOKENS_PER_CHUNK));
    TRY(check_side("channels in a text encoder", clip->width, 1, WIDTH_MAX));
    TRY(check_side("layers in a text encoder", clip->layers, 1 + family->row->layers_back, 100));
  }
  return OK;
}

/* ---- together ---- */

static enum status guess_network(struct checkpoint *files, enum network network,
                                 const struct usual *usual, struct family *family) {
  struct weights *weights = NULL;
  TRY(weights_open_network(files, network, &weights));
  enum status status = OK;
  int text = family_encoder(family, network);
  if (network == NETWORK_UNET) {
    status = guess_unet(weights, usual, family->row->sizes, &family->unet);
  } else if (network == NETWORK_VAE) {
    status = guess_vae(weights, usual, &family->vae);
  } else {
    bool open_clip = network == NETWORK_TEXT_2 || strcmp(family->row->name, "sd2") == 0;
    status = guess_clip(weights, open_clip, &family->clip[text]);
  }
  weights_close(&weights);
  return status;
}

static void guess_noise(const struct checkpoint *files, const struct usual *usual,
                        struct family *family) {
  bool v = checkpoint_has_key(files, "v_pred");
  family->noise = (struct noise_facts){.train_timesteps = 1000,
                                       .beta_start = 0.00085,
                                       .beta_end = 0.012,
                                       .beta_schedule = BETAS_SCALED_LINEAR,
                                       .prediction = v ? PREDICTION_V : usual->prediction,
                                       .spacing = usual->spacing,
                                       .steps_offset = 1,
                                       .final_alpha = FINAL_ALPHA_FIRST,
                                       .rescale_zero_snr = checkpoint_has_key(files, "ztsnr")};
  family->prediction_assumed = !v && usual->prediction == PREDICTION_V;
}

static enum status guess(struct checkpoint *files, struct family *out) {
  const char *name = NULL;
  struct family family = {0};
  TRY(checkpoint_family(files, &name));
  family.row = family_find(name);
  const struct usual *usual = usuals;
  while (strcmp(usual->family, name) != 0) {
    usual++;
  }
  TRY(guess_network(files, NETWORK_UNET, usual, &family));
  TRY(guess_network(files, NETWORK_VAE, usual, &family));
  for (int i = 0; i < family.row->text_encoders; i++) {
    TRY(guess_network(files, family.row->place[i].network, usual, &family));
    family.prompt[i] = PROMPT_PLAIN;
  }
  TRY(check_sides(&family));
  guess_noise(files, usual, &family);
  assert(family.vae.levels >= 1); /* guess_vae has seen to it */
  family.scale_factor = 1 << (family.vae.levels - 1);
  family.zeros_when_silent = usual->zeros;
  *out = family;
  return OK;
}

/* ---- what the operator says ---- */

/* Configs for a single file are of the family that its keys have. */
static enum status read_beside(struct checkpoint *files, struct family *out) {
  const char *configs = checkpoint_source(files)->configs, *name = NULL;
  struct family family;
  TRY(checkpoint_family(files, &name));
  TRY(family_read(configs, &family));
  if (strcmp(family.row->name, name) != 0) {
    return fail_field(BAD_INPUT, "config",
                      "%s: configs of the family %s, but the keys of %s are %s's", configs,
                      family.row->name, checkpoint_source(files)->file, name);
  }
  *out = family;
  return OK;
}

static enum status override(const struct model_source *source, struct family *family) {
  static const char *const words[] = {[PREDICTION_EPSILON] = "epsilon",
                                      [PREDICTION_V] = "v_prediction",
                                      [PREDICTION_SAMPLE] = "sample"};
  if (source->family != NULL && strcmp(source->family, family->row->name) != 0) {
    return fail_field(BAD_INPUT, "config", "%s: it is of the family %s, and the table says %s",
                      source->folder, family->row->name, source->family);
  }
  for (size_t i = 0; source->prediction != NULL && i < sizeof words / sizeof *words; i++) {
    if (strcmp(words[i], source->prediction) == 0) {
      family->noise.prediction = (enum prediction)i;
      family->prediction_assumed = false;
    }
  }
  return OK;
}

enum status family_open(struct checkpoint *files, struct family *out) {
  const struct model_source *source = checkpoint_source(files);
  struct family family;
  if (source->family != NULL && family_find(source->family) == NULL) {
    return fail_field(BAD_INPUT, "config",
                      "there is no family %s: sd1, sd2, sdxl, sdxl-refiner are", source->family);
  }
  if (source->file == NULL) {
    TRY(family_read(source->folder, &family));
  } else if (source->configs != NULL) {
    TRY(read_beside(files, &family));
  } else {
    TRY(guess(files, &family));
    TRY(family_check(&family));
  }
  TRY(override(source, &family));
  *out = family;
  return OK;
}

enum status family_look(const struct model_source *source, struct family *out) {
  struct model_source unhashed = *source;
  struct checkpoint *files = NULL;
  unhashed.hash_count = 0;
  TRY(checkpoint_open(&unhashed, &files));
  enum status status = family_open(files, out);
  checkpoint_close(&files);
  return status;
}
