/* checkpoint.c - which files a source has, each opened once. */
#include "worker/model/checkpoint.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "base/limits.h"
#include "worker/model/config.h"
#include "worker/model/shards.h"
#include "worker/model/weight_files.h"

#define ARENA_BYTES_MAX ((size_t)1 << 32)

struct checkpoint {
  struct arena *arena; /* holds this struct, paths and tables */
  const struct model_source *source;
  struct mapped file[WEIGHT_FILES_MAX];
  const char *name[WEIGHT_FILES_MAX]; /* within the folder */
  size_t count;
  const struct mapped *of_network[WEIGHT_FILES_MAX]; /* what was asked for last */
  bool hash_used[WEIGHT_FILES_MAX];
};

#define REFUSE(...) fail_field(BAD_INPUT, "weights", __VA_ARGS__)

enum status checkpoint_open(const struct model_source *source, struct checkpoint **out) {
  if (source->hash_count > WEIGHT_FILES_MAX) {
    return REFUSE("%s: %zu sha256 sums are given, at most %d", source->folder, source->hash_count,
                  WEIGHT_FILES_MAX);
  }
  struct arena *arena = NULL;
  TRY(arena_open(NULL, ARENA_BYTES_MAX, &arena));
  struct checkpoint *checkpoint = arena_take_zeroed(arena, sizeof *checkpoint);
  if (checkpoint == NULL) {
    arena_close(&arena);
    return EXHAUSTED;
  }
  checkpoint->arena = arena;
  checkpoint->source = source;
  *out = checkpoint;
  return OK;
}

void checkpoint_close(struct checkpoint **pointer) {
  if (pointer == NULL || *pointer == NULL) {
    return;
  }
  struct checkpoint *checkpoint = *pointer;
  struct arena *arena = checkpoint->arena;
  for (size_t i = 0; i < checkpoint->count; i++) {
    mapped_close(&checkpoint->file[i]);
  }
  arena_close(&arena); /* the struct itself lies in it */
  *pointer = NULL;
}

const struct model_source *checkpoint_source(const struct checkpoint *checkpoint) {
  return checkpoint->source;
}

/* ---- files ---- */

static enum status find_hash(struct checkpoint *checkpoint, const char *name, const char **out) {
  const struct model_source *source = checkpoint->source;
  const char *sha256 = NULL;
  for (size_t i = 0; i < source->hash_count && sha256 == NULL; i++) {
    if (strcmp(source->hashes[i].path, name) == 0) {
      sha256 = source->hashes[i].sha256;
      checkpoint->hash_used[i] = true;
    }
  }
  if (sha256 == NULL && source->hash_count > 0) {
    return REFUSE("%s/%s: no sha256 is given for it", source->folder, name);
  }
  *out = sha256;
  return OK;
}

static const struct mapped *find_file(const struct checkpoint *checkpoint, const char *name) {
  for (size_t i = 0; i < checkpoint->count; i++) {
    if (strcmp(checkpoint->name[i], name) == 0) {
      return &checkpoint->file[i];
    }
  }
  return NULL;
}

static enum status open_file(struct checkpoint *checkpoint, const char *name,
                             const struct mapped **out) {
  char path[CONFIG_PATH_MAX];
  const char *sha256 = NULL;
  const struct mapped *open = find_file(checkpoint, name);
  if (open != NULL) {
    *out = open;
    return OK;
  }
  if (snprintf(path, sizeof path, "%s/%s", checkpoint->source->folder, name) >= (int)sizeof path) {
    return REFUSE("path too long: %s", name);
  }
  if (checkpoint->count == WEIGHT_FILES_MAX) {
    return REFUSE("%s: more than %d files", checkpoint->source->folder, WEIGHT_FILES_MAX);
  }
  TRY(find_hash(checkpoint, name, &sha256));
  size_t at = checkpoint->count;
  TRY(arena_keep_text(checkpoint->arena, name, &checkpoint->name[at]));
  TRY(mapped_open(path, sha256, checkpoint->arena, &checkpoint->file[at]));
  checkpoint->count++;
  *out = &checkpoint->file[at];
  return OK;
}

/* ---- networks ---- */

/* The parts of an index, each opened and held to it. */
static enum status open_shards(struct checkpoint *checkpoint, const char *index, size_t *count) {
  struct shards shards;
  TRY(shards_read(checkpoint->source->folder, index, &shards));
  const char *slash = strrchr(index, '/');
  size_t folder = slash == NULL ? 0 : (size_t)(slash + 1 - index);
  enum status status = OK;
  for (size_t i = 0; i < shards.count && status == OK; i++) {
    char name[CONFIG_PATH_MAX];
    snprintf(name, sizeof name, "%.*s%s", (int)folder, index, shards.file[i]);
    status = open_file(checkpoint, name, &checkpoint->of_network[i]);
    if (status == OK) {
      status = shards_check(&shards, shards.file[i], &checkpoint->of_network[i]->table);
    }
  }
  *count = shards.count;
  shards_close(&shards);
  return status;
}

static enum status in_folder(struct checkpoint *checkpoint, enum network network,
                             struct checkpoint_network *out) {
  char name[CONFIG_PATH_MAX];
  size_t count = 1;
  TRY(weight_file_choose(checkpoint->source, network, name, sizeof name));
  if (shards_is_index(name)) {
    TRY(open_shards(checkpoint, name, &count));
  } else {
    TRY(open_file(checkpoint, name, &checkpoint->of_network[0]));
  }
  out->files = checkpoint->of_network;
  out->count = count;
  out->place = key_place_in_folder(network);
  return OK;
}

/* What would have been a place of it, in words. */
static enum status refuse_network(const struct checkpoint *checkpoint, enum network network) {
  static const char *const expected[NETWORKS] = {
      [NETWORK_VAE] = "first_stage_model. or vae.",
      [NETWORK_UNET] = "model.diffusion_model.",
      [NETWORK_TEXT] = "cond_stage_model. or conditioner.embedders.0.transformer.",
      [NETWORK_TEXT_2] = "conditioner.embedders.1.model. or conditioner.embedders.0.model.",
      [NETWORK_CONTROL] = "control_model., input_hint_block. or controlnet_cond_embedding.",
      [NETWORK_TINY] = "decoder.layers. or 1.weight",
  };
  const struct model_source *source = checkpoint->source;
  return REFUSE("%s/%s: no %s is in it: its keys would begin with %s", source->folder, source->file,
                network_names[network], expected[network]);
}

static bool is_of_model(enum network network) {
  return network == NETWORK_UNET || network == NETWORK_VAE || network == NETWORK_TEXT ||
         network == NETWORK_TEXT_2;
}

static enum status refuse_family(const struct checkpoint *checkpoint) {
  const struct model_source *source = checkpoint->source;
  bool told = source->family != NULL;
  return REFUSE(
      "%s/%s: %s%s by its keys: a text encoder's begin with cond_stage_model.transformer. (sd1), "
      "cond_stage_model.model. (sd2), conditioner.embedders.1.model. (sdxl) or "
      "conditioner.embedders.0.model. (sdxl-refiner), the U-Net's with model.diffusion_model.",
      source->folder, source->file, told ? "it is not of the family " : "no family is known",
      told ? source->family : "");
}

static enum status open_single(struct checkpoint *checkpoint) {
  return open_file(checkpoint, checkpoint->source->file, &checkpoint->of_network[0]);
}

static enum status in_single(struct checkpoint *checkpoint, enum network network,
                             struct checkpoint_network *out) {
  TRY(open_single(checkpoint));
  const struct safetensors *table = &checkpoint->of_network[0]->table;
  const struct key_layout *layout = key_layout_find(table, network, checkpoint->source->family);
  if (layout == NULL && is_of_model(network)) {
    return refuse_family(checkpoint);
  }
  const struct key_place *place = layout != NULL ? key_layout_place(layout, table, network) : NULL;
  if (place == NULL) {
    return refuse_network(checkpoint, network);
  }
  out->files = checkpoint->of_network;
  out->count = 1;
  out->place = place;
  return OK;
}

enum status checkpoint_network(struct checkpoint *checkpoint, enum network network,
                               struct checkpoint_network *out) {
  struct checkpoint_network found = {.count = 0};
  bool single = checkpoint->source->file != NULL;
  TRY((single ? in_single : in_folder)(checkpoint, network, &found));
  found.sizes = key_sizes_of(&found.files[0]->table, found.place->prefix);
  *out = found;
  return OK;
}

enum status checkpoint_family(struct checkpoint *checkpoint, const char **out) {
  TRY(open_single(checkpoint));
  const struct key_layout *layout =
      key_layout_find(&checkpoint->of_network[0]->table, NETWORK_UNET, checkpoint->source->family);
  if (layout == NULL) {
    return refuse_family(checkpoint);
  }
  *out = layout->family;
  return OK;
}

bool checkpoint_has_key(const struct checkpoint *checkpoint, const char *prefix) {
  return checkpoint->source->file != NULL && checkpoint->count > 0 &&
         key_begins(&checkpoint->file[0].table, prefix);
}

/* ---- nothing left over ---- */

/* Of a network's own keys weights_all_used says it; here those of nobody. */
static enum status single_all_known(const struct checkpoint *checkpoint) {
  const struct safetensors *table = &checkpoint->file[0].table;
  const struct key_layout *layout =
      key_layout_find(table, NETWORK_UNET, checkpoint->source->family);
  const char *first = NULL;
  size_t left = 0;
  for (size_t i = 0; layout != NULL && i < table->count; i++) {
    if (!key_is_known(layout, table->entry[i].name)) {
      first = first == NULL ? table->entry[i].name : first;
      left++;
    }
  }
  return left == 0 ? OK
                   : REFUSE("%s: %zu tensors belong to no network of %s, the first is \"%s\"",
                            checkpoint->file[0].path, left, layout->family, first);
}

enum status checkpoint_all_used(const struct checkpoint *checkpoint) {
  const struct model_source *source = checkpoint->source;
  for (size_t i = 0; i < source->hash_count; i++) {
    if (!checkpoint->hash_used[i]) {
      return REFUSE(
          "%s/%s: a sha256 is given for it, but it is not loaded: one file of each network is, or "
          "those of one index",
          source->folder, source->hashes[i].path);
    }
  }
  return source->file != NULL && checkpoint->count > 0 ? single_all_known(checkpoint) : OK;
}
