/* weight_files.c - the names that the hub's folders use, and what each means here. */
#include "worker/model/weight_files.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "worker/model/config.h"

/* A network's file is its stem and one of these; the first that is there is loaded. */
static const char *const weight_endings[] = {".safetensors", ".fp16.safetensors"};
enum { WEIGHT_ENDINGS = sizeof weight_endings / sizeof *weight_endings };

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

/* Nothing that is loaded is there: a reason that says what is. */
static enum status refuse_missing(const char *folder, const char *stem) {
  char path[CONFIG_PATH_MAX];
  for (int i = 0; i < WEIGHT_ENDINGS; i++) {
    snprintf(path, sizeof path, "%s%s.index.json", stem, weight_endings[i]);
    if (config_file_exists(folder, path)) {
      return REFUSE("%s/%s: weights in several files are not implemented", folder, path);
    }
  }
  return REFUSE(
      "%s: neither %s.safetensors nor %s.fp16.safetensors is there (a .bin file is a pickle and is "
      "not loaded)",
      folder, stem, stem);
}

enum status weight_file_choose(const struct model_source *source, enum network network, char *path,
                               size_t max) {
  const char *stem = network_stems[network];
  int first = -1;
  for (int i = 0; i < WEIGHT_ENDINGS; i++) {
    char candidate[CONFIG_PATH_MAX];
    snprintf(candidate, sizeof candidate, "%s%s", stem, weight_endings[i]);
    if (!config_file_exists(source->folder, candidate)) {
      continue;
    }
    if (source->hash_count == 0 || is_named(source, candidate)) {
      snprintf(path, max, "%s", candidate);
      return OK;
    }
    first = first < 0 ? i : first;
  }
  return first < 0 ? refuse_missing(source->folder, stem)
                   : REFUSE("%s/%s%s: no sha256 is given for it", source->folder, stem,
                            weight_endings[first]);
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
    {".index.json", "the index of weights in several files, which are not implemented"},
    {".non_ema.safetensors", "weights before averaging, to train on with"},
    {".fp16.safetensors", "half precision; name it instead to load it"},
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
    return "a part of weights in several files, which are not implemented";
  }
  for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
    if (ends_with(file, kinds[i].ending)) {
      return kinds[i].why;
    }
  }
  return NULL;
}
