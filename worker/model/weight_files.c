/* weight_files.c - the names that the hub's folders use, and what each means here. */
#include "worker/model/weight_files.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "worker/model/config.h"
#include "worker/model/shards.h"

/* What a network's files are called, the first that is there is loaded: the stem and one of these,
 * '@' being the variant. Both ways of naming the index of a variant are found on the hub. */
static const char *const plain_endings[] = {".safetensors", ".safetensors.index.json"};
static const char *const variant_endings[] = {".@.safetensors", ".safetensors.index.@.json",
                                              ".@.safetensors.index.json"};
#define COUNT(table) (sizeof(table) / sizeof *(table))
enum { CANDIDATES_MAX = COUNT(plain_endings) + COUNT(variant_endings) };

const char *const network_names[NETWORKS] = {
    [NETWORK_VAE] = "vae",
    [NETWORK_UNET] = "unet",
    [NETWORK_TEXT] = "text_encoder",
    [NETWORK_TEXT_2] = "text_encoder_2",
    [NETWORK_CONTROL] = "control net",
    [NETWORK_TINY] = "tiny decoder",
};
const char *const network_stems[NETWORKS] = {
    [NETWORK_VAE] = "vae/diffusion_pytorch_model", [NETWORK_UNET] = "unet/diffusion_pytorch_model",
    [NETWORK_TEXT] = "text_encoder/model",         [NETWORK_TEXT_2] = "text_encoder_2/model",
    [NETWORK_CONTROL] = "diffusion_pytorch_model", [NETWORK_TINY] = "diffusion_pytorch_model",
};

#define REFUSE(...) fail_field(BAD_INPUT, "weights", __VA_ARGS__)

/* ---- choosing ---- */

static bool is_named(const struct model_source *source, const char *path) {
  for (size_t i = 0; i < source->hash_count; i++) {
    if (strcmp(source->hashes[i].path, path) == 0) {
      return true;
    }
  }
  return false;
}

struct candidates {
  char path[CANDIDATES_MAX][CONFIG_PATH_MAX];
  size_t count;
};

static void add_variant(const char *stem, const char *variant, struct candidates *out) {
  for (size_t i = 0; i < COUNT(variant_endings); i++) {
    const char *ending = variant_endings[i], *at = strchr(ending, '@');
    snprintf(out->path[out->count++], CONFIG_PATH_MAX, "%s%.*s%s%s", stem, (int)(at - ending),
             ending, variant, at + 1);
  }
}

/* The names in question, first the one that is preferred. */
static struct candidates candidates_of(const struct model_source *source, const char *stem) {
  struct candidates all = {.count = 0};
  if (source->variant != NULL) {
    add_variant(stem, source->variant, &all);
    return all;
  }
  for (size_t i = 0; i < COUNT(plain_endings); i++) {
    snprintf(all.path[all.count++], CONFIG_PATH_MAX, "%s%s", stem, plain_endings[i]);
  }
  add_variant(stem, "fp16", &all);
  return all;
}

/* An index needs no hash of its own, for it only says names: its files have theirs. */
static enum status is_hashed(const struct model_source *source, const char *path, bool *out) {
  *out = source->hash_count == 0 || is_named(source, path);
  if (*out || !shards_is_index(path)) {
    return OK;
  }
  struct shards shards;
  TRY(shards_read(source->folder, path, &shards));
  char first[CONFIG_PATH_MAX];
  int folder = (int)(strrchr(path, '/') == NULL ? 0 : strrchr(path, '/') + 1 - path);
  snprintf(first, sizeof first, "%.*s%s", folder, path, shards.file[0]);
  *out = is_named(source, first);
  shards_close(&shards);
  return OK;
}

/* Nothing that is loaded is there: a reason that says what would be. */
static enum status refuse_missing(const char *folder, const struct candidates *all) {
  char names[4 * CONFIG_PATH_MAX] = "";
  for (size_t i = 0; i < all->count; i++) {
    size_t at = strlen(names);
    snprintf(names + at, sizeof names - at, "%s%s", i > 0 ? ", " : "", all->path[i]);
  }
  return REFUSE("%s: none of %s is there (a .bin file is a pickle and is not loaded)", folder,
                names);
}

enum status weight_file_choose(const struct model_source *source, enum network network, char *path,
                               size_t max) {
  struct candidates all = candidates_of(source, network_stems[network]);
  const char *unnamed = NULL;
  for (size_t i = 0; i < all.count; i++) {
    bool hashed = false;
    if (!config_file_exists(source->folder, all.path[i])) {
      continue;
    }
    TRY(is_hashed(source, all.path[i], &hashed));
    if (hashed) {
      snprintf(path, max, "%s", all.path[i]);
      return OK;
    }
    unnamed = unnamed == NULL ? all.path[i] : unnamed;
  }
  return unnamed == NULL ? refuse_missing(source->folder, &all)
                         : REFUSE("%s/%s: no sha256 is given for it%s", source->folder, unnamed,
                                  shards_is_index(unnamed) ? "s files" : "");
}

/* ---- what is left out ---- */

static bool ends_with(const char *text, const char *ending) {
  size_t bytes = strlen(text), wanted = strlen(ending);
  return bytes >= wanted && strcmp(text + bytes - wanted, ending) == 0;
}

/* By what a name ends with, most telling first; {stem} stands for the network's own. */
static const struct {
  const char *ending, *why;
} kinds[] = {
    {".index.json", "an index of weights in several files, of which these are not loaded"},
    {".non_ema.safetensors", "weights before averaging, to train on with; variant = non_ema"},
    {".fp16.safetensors", "half precision; variant = fp16 loads it"},
    {".safetensors", "not a name that is loaded"},
    {".bin", "a pickle can run code: only safetensors are loaded"},
    {".ckpt", "a pickle can run code: only safetensors are loaded"},
    {".pt", "a pickle can run code: only safetensors are loaded"},
    {".pth", "a pickle can run code: only safetensors are loaded"},
    {".msgpack", "weights for another framework"},
    {".h5", "weights for another framework"},
    {".onnx", "weights for another framework"},
    {".onnx_data", "weights for another framework"},
    {".pb", "weights for another framework"},
    {".gguf", "weights for another framework"},
};

const char *weight_file_left_out(const char *file, const char *stem, const char *chosen) {
  if (strcmp(file, chosen) == 0) {
    return NULL;
  }
  size_t bytes = strlen(stem);
  /* model-00001-of-00002.safetensors */
  if (strncmp(file, stem, bytes) == 0 && file[bytes] == '-' && strstr(file, "-of-") != NULL) {
    return "a part of weights in several files, of which these are not loaded";
  }
  for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
    if (ends_with(file, kinds[i].ending)) {
      return kinds[i].why;
    }
  }
  return NULL;
}
