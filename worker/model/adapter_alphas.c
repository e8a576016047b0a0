/* adapter_alphas.c - PEFT's LoraConfig, as far as scales depend on it. */
#include "worker/model/adapter_alphas.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "worker/model/config.h"

/* Where diffusers (loaders/lora_base.py) keeps the configs of all networks, as one JSON text. */
#define METADATA_KEY "__metadata__"
#define CONFIGS_KEY "lora_adapter_metadata"
#define KEY_BYTES_MAX 64

#define REFUSE(...) fail_field(BAD_INPUT, "adapter", __VA_ARGS__)

/* What stands before a network's keys in the metadata; a config of its own has nothing there. */
static const char *const prefixes[NETWORKS] = {[NETWORK_UNET] = "unet.",
                                               [NETWORK_TEXT] = "text_encoder.",
                                               [NETWORK_TEXT_2] = "text_encoder_2."};

struct adapter_alphas {
  json_t *configs; /* NULL: none */
  bool own;        /* adapter_config.json: of one network, keys without a prefix */
};

/* ---- reading ---- */

static enum status parse(const char *name, const char *text, size_t length, int depth,
                         json_t **out) {
  struct json_rules rules = {.depth_max = depth};
  enum status status = config_json(name, text, length, rules, out);
  return status == BAD_INPUT ? REFUSE("%s", fail_reason()) : status;
}

/* A pattern is a regular expression there; what trainers write are ends of names. */
static enum status check_patterns(const char *name, json_t *patterns) {
  const char *key = NULL;
  json_t *value = NULL;
  if (json_object_size(patterns) > ADAPTER_PATTERNS_MAX) {
    return REFUSE("%s: alpha_pattern has %zu entries, at most %d are allowed", name,
                  json_object_size(patterns), ADAPTER_PATTERNS_MAX);
  }
  json_object_foreach(patterns, key, value) {
    if (strpbrk(key + (key[0] == '^'), "\\*+?[](){}|^$") != NULL || !json_is_number(value)) {
      return REFUSE("%s: alpha_pattern \"%s\" is not the end of a layer's name with a number", name,
                    key);
    }
  }
  return OK;
}

static bool ends_with(const char *text, const char *end) {
  size_t length = strlen(text), wanted = strlen(end);
  return length >= wanted && strcmp(text + length - wanted, end) == 0;
}

static enum status check_configs(const char *name, json_t *configs) {
  const char *key = NULL;
  json_t *value = NULL;
  json_object_foreach(configs, key, value) {
    if (ends_with(key, "alpha_pattern")) {
      TRY(check_patterns(name, value));
    }
    if (ends_with(key, "lora_alpha") && !json_is_number(value)) {
      return REFUSE("%s: %s of the configuration is not a number", name, key);
    }
  }
  return OK;
}

/* The header's length and syntax have been checked with the table of tensors. */
static enum status read_metadata(const struct adapter_source *source, json_t **out) {
  uint64_t length = 0;
  for (int i = 7; i >= 0; i--) {
    length = length << 8 | source->data[i];
  }
  const char *header = (const char *)source->data + 8;
  while (length > 0 && strchr(" \t\r\n", header[length - 1]) != NULL) {
    length--;
  }
  json_t *root = NULL;
  TRY(parse(source->name, header, (size_t)length, 4, &root));
  const json_t *text = json_object_get(json_object_get(root, METADATA_KEY), CONFIGS_KEY);
  enum status status = OK;
  if (json_is_string(text)) {
    status = parse(source->name, json_string_value(text), json_string_length(text), 6, out);
  }
  json_decref(root);
  return status;
}

static enum status read_configs(const struct adapter_source *source,
                                struct adapter_alphas *alphas) {
  TRY(read_metadata(source, &alphas->configs));
  if (alphas->configs == NULL && source->config != NULL) {
    alphas->own = true;
    TRY(parse(source->name, source->config, strlen(source->config), 6, &alphas->configs));
  }
  return check_configs(source->name, alphas->configs);
}

enum status adapter_alphas_open(const struct adapter_source *source, struct adapter_alphas **out) {
  struct adapter_alphas *alphas = calloc(1, sizeof *alphas);
  if (alphas == NULL) {
    return fail(EXHAUSTED, "out of memory");
  }
  enum status status = read_configs(source, alphas);
  if (status != OK) {
    adapter_alphas_close(&alphas);
    return status;
  }
  *out = alphas;
  return OK;
}

void adapter_alphas_close(struct adapter_alphas **alphas) {
  if (*alphas != NULL) {
    json_decref((*alphas)->configs);
    free(*alphas);
    *alphas = NULL;
  }
}

/* ---- looking up ---- */

static const json_t *config_value(const struct adapter_alphas *alphas, enum network network,
                                  const char *name) {
  char key[KEY_BYTES_MAX];
  snprintf(key, sizeof key, "%s%s", alphas->own ? "" : prefixes[network], name);
  return json_object_get(alphas->configs, key);
}

/* A pattern stands for a whole name or for its last words. */
static bool is_meant(const char *pattern, const char *name) {
  bool whole = pattern[0] == '^';
  const char *end = pattern + whole;
  size_t length = strlen(name), wanted = strlen(end);
  return ends_with(name, end) && (length == wanted || (!whole && name[length - wanted - 1] == '.'));
}

struct adapter_alpha adapter_alphas_of(const struct adapter_alphas *alphas,
                                       const struct module *module) {
  const json_t *alpha = config_value(alphas, module->network, "lora_alpha");
  json_t *patterns = (json_t *)config_value(alphas, module->network, "alpha_pattern");
  const char *pattern = NULL;
  json_t *value = NULL;
  json_object_foreach(patterns, pattern, value) {
    if (is_meant(pattern, module->name)) {
      alpha = value;
      break;
    }
  }
  return (struct adapter_alpha){
      .known = alpha != NULL,
      .root = json_is_true(config_value(alphas, module->network, "use_rslora")),
      .alpha = (float)json_number_value(alpha)};
}
