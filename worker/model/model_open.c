/* model_open.c - a source's configs and weights to a model. */
#include <stdio.h>

#include "base/limits.h"
#include "worker/model/checkpoint.h"
#include "worker/model/config.h"
#include "worker/model/family_guess.h"
#include "worker/model/model_inside.h"

#define HOST_BYTES_MAX ((size_t)64 * 1024 * 1024)
#define ANY_BYTES ((size_t)1 << 44) /* the device has its own limit */

/* ---- the networks of a source ---- */

struct opening {
  const struct model_source *source;
  struct model *model;
  struct checkpoint *files;
  struct loader loader;
  bool decoder_alone; /* of the autoencoder */
  bool outline;       /* all but the weights */
  const struct loader_pauses *pauses;
};

static enum status load_vae(struct opening *opening) {
  return vae_load(&opening->loader, &opening->model->family.vae, opening->decoder_alone,
                  &opening->model->vae);
}
static enum status load_unet(struct opening *opening) {
  return unet_load(&opening->loader, &opening->model->family.unet, &opening->model->unet);
}
static enum status load_clip(struct opening *opening) {
  struct model *model = opening->model;
  int i = family_encoder(&model->family, opening->loader.network);
  return clip_load(&opening->loader, &model->family.clip[i], &model->clip[i]);
}

/* The networks that a model may have; all tensors of one are used when it has been loaded. */
enum { MODEL_NETWORKS = NETWORK_TEXT_2 + 1 };
static enum status (*const loads[MODEL_NETWORKS])(struct opening *opening) = {
    [NETWORK_VAE] = load_vae,
    [NETWORK_UNET] = load_unet,
    [NETWORK_TEXT] = load_clip,
    [NETWORK_TEXT_2] = load_clip};

static bool has_network(const struct family *family, enum network network) {
  bool text = network == NETWORK_TEXT || network == NETWORK_TEXT_2;
  return !text || family_encoder(family, network) >= 0;
}

/* Says whether files are read now, or the device is wanted. */
static void say_beside(const struct opening *opening, bool reading) {
  if (opening->pauses != NULL) {
    opening->pauses->beside(opening->pauses->context, reading);
  }
}

static enum status open_network(struct opening *opening, enum network network) {
  say_beside(opening, true);
  enum status opened = weights_open_network(opening->files, network, &opening->loader.file);
  say_beside(opening, false);
  TRY(opened);
  opening->loader.element = device_element_for(
      opening->model->device,
      network == NETWORK_VAE ? opening->model->family.vae.precision : PRECISION_FAST);
  opening->loader.network = network;
  enum status status = loads[network](opening);
  if (status == OK) {
    status = weights_all_used(opening->loader.file);
  }
  weights_close(&opening->loader.file);
  return status;
}

static enum status open_networks(struct opening *opening) {
  for (int network = NETWORK_VAE; network < MODEL_NETWORKS; network++) {
    if (has_network(&opening->model->family, (enum network)network)) {
      TRY(open_network(opening, (enum network)network));
    }
  }
  return checkpoint_all_used(opening->files);
}

/* ---- opening and closing ---- */

/* Where the source has the tokenizer of that name: below a folder, or the folder is it. */
static enum status find_tokenizer(const struct model_source *source, const struct family *family,
                                  const char *name, const char *place[2]) {
  const char *folder = source->tokenizer != NULL ? source->tokenizer
                       : source->configs != NULL ? source->configs
                                                 : source->folder;
  char path[64];
  snprintf(path, sizeof path, "%s/vocab.json", name);
  bool below = config_file_exists(folder, path);
  bool own = family->row->text_encoders == 1 && config_file_exists(folder, "vocab.json");
  if (source->file != NULL && !below && !own) {
    return fail_field(
        BAD_INPUT, "config",
        "%s/%s: a single file has no tokenizer: tokenizer = FOLDER in the model table "
        "names one that has %s, or it lies beside the file",
        source->folder, source->file, path);
  }
  place[0] = folder;
  place[1] = below || !own ? name : ".";
  return OK;
}

/* Each tokenizer goes with its text encoder's vocabulary. */
static enum status open_tokenizers(const struct model_source *source, const struct family *family,
                                   struct tokenizer **out) {
  for (int i = 0; i < family->row->text_encoders; i++) {
    const char *place[2];
    TRY(find_tokenizer(source, family, family->row->place[i].tokenizer, place));
    struct tokenizer_shape shape = {family->clip[i].vocabulary, family->clip[i].positions,
                                    family->prompt[i]};
    TRY(tokenizer_open(place[0], place[1], shape, &out[i]));
  }
  return OK;
}

static void close_tokenizers(struct tokenizer **tokenizer) {
  for (int i = 0; i < TEXT_ENCODERS_MAX; i++) {
    tokenizer_close(&tokenizer[i]);
  }
}

static enum status look_at_weights(const struct model_source *source, const struct family *family) {
  struct model_source unhashed = *source;
  struct checkpoint *files = NULL;
  unhashed.hash_count = 0;
  TRY(checkpoint_open(&unhashed, &files));
  enum status status = OK;
  for (int network = NETWORK_VAE; network < MODEL_NETWORKS && status == OK; network++) {
    if (has_network(family, (enum network)network)) {
      struct weights *weights = NULL;
      status = weights_open_network(files, (enum network)network, &weights);
      weights_close(&weights);
    }
  }
  checkpoint_close(&files);
  return status;
}

enum status model_look(const struct model_source *source) {
  struct family family;
  struct tokenizer *tokenizer[TEXT_ENCODERS_MAX] = {NULL};
  TRY(family_look(source, &family));
  enum status status = open_tokenizers(source, &family, tokenizer);
  close_tokenizers(tokenizer);
  return status == OK ? look_at_weights(source, &family) : status;
}

/* Loads with `load`, into the model's arenas. */
static enum status load_into(struct opening *opening,
                             enum status (*load)(struct opening *opening)) {
  struct model *model = opening->model;
  struct loader *loader = &opening->loader;
  say_beside(opening, false);
  TRY(opening->outline ? pass_dry_arena(&model->on_device)
                       : device_arena(model->device, ANY_BYTES, &model->on_device));
  TRY(arena_open(NULL, ANY_BYTES, &loader->scratch));
  loader->device = model->device;
  loader->host = model->host;
  loader->on_device = model->on_device;
  loader->pauses = opening->pauses;
  loader->dry = opening->outline;
  enum status status = load(opening);
  arena_close(&loader->scratch);
  model->packed = loader->packed;
  model->bytes = loader->bytes;
  return status;
}

static enum status fill(struct opening *opening) {
  struct model *model = opening->model;
  /* the decoder may be wanted once more */
  TRY(model_source_keep(model->host, opening->source, &model->source));
  TRY(family_open(opening->files, &model->family));
  TRY(open_tokenizers(opening->source, &model->family, model->tokenizer));
  TRY(modules_open(model->host, &model->modules));
  opening->loader.modules = model->modules;
  TRY(load_into(opening, open_networks));
  return modules_seal(model->modules);
}

static enum status with_files(struct opening *opening,
                              enum status (*make)(struct opening *opening)) {
  TRY(checkpoint_open(opening->source, &opening->files));
  enum status status = make(opening);
  checkpoint_close(&opening->files);
  return status;
}

/* An empty one. */
static enum status new_model(struct device *device, struct model **out) {
  struct arena *host = NULL;
  TRY(arena_open(NULL, HOST_BYTES_MAX, &host));
  struct model *model = arena_take_zeroed(host, sizeof *model);
  if (model == NULL) {
    arena_close(&host);
    return EXHAUSTED;
  }
  model->host = host;
  model->device = device;
  *out = model;
  return OK;
}

static enum status open_as(struct opening *opening, struct device *device, struct model **out) {
  struct model *model = NULL;
  TRY(new_model(device, &model));
  opening->model = model;
  enum status status = with_files(opening, fill);
  if (status != OK) {
    model_close(&model);
    return status;
  }
  *out = model;
  return OK;
}

enum status model_open(struct device *device, const struct model_source *source,
                       struct model **out) {
  return open_as(&(struct opening){.source = source}, device, out);
}

enum status model_open_beside(struct device *device, const struct model_source *source,
                              const struct loader_pauses *pauses, struct model **out) {
  return open_as(&(struct opening){.source = source, .pauses = pauses}, device, out);
}

/* Hashes are looked at when the weights are. */
enum status model_outline(struct device *device, const struct model_source *source,
                          struct model **out) {
  struct model_source unhashed = *source;
  unhashed.hash_count = 0;
  return open_as(&(struct opening){.source = &unhashed, .outline = true}, device, out);
}

/* ---- a decoder in f32 ---- */

static enum status load_decoder(struct opening *opening) {
  return open_network(opening, NETWORK_VAE);
}

static enum status open_decoder(struct opening *opening) {
  return load_into(opening, load_decoder);
}

enum status model_open_exact(const struct model *model, struct model **out) {
  struct model *exact = NULL;
  TRY(new_model(model->device, &exact));
  exact->family = model->family;
  exact->family.vae.precision = PRECISION_EXACT;
  struct opening opening = {.source = &model->source, .model = exact, .decoder_alone = true};
  enum status status = with_files(&opening, open_decoder);
  if (status != OK) {
    model_close(&exact);
    return status;
  }
  *out = exact;
  return OK;
}
