/* tokenizer_files.c - a tokenizer out of the four files of a model's folder. */
#include <stdio.h>
#include <string.h>

#include "base/bytes.h"
#include "base/limits.h"
#include "worker/model/config.h"
#include "worker/model/tokenizer.h"

#define SETTINGS_FILE "tokenizer_config.json"
#define SPECIALS_FILE "special_tokens_map.json"
#define ADDED_FILE "added_tokens.json"
#define VOCABULARY_FILE "vocab.json"
#define MERGES_FILE "merges.txt"
#define WHOLE_FILE "tokenizer.json"
#define SPECIAL_BYTES_MAX 64
/* Python's "no maximum" is 1e30. */
#define NO_MAXIMUM 1e9

struct settings {
  double tokens_max;
};
/* The special tokens themselves are read by read_specials. */
static const struct config_key settings_keys[] = {
    {"model_max_length", CONFIG_NUMBER, offsetof(struct settings, tokens_max), 3, 1e40,
     .standard = "1e30"},
    {"tokenizer_class", CONFIG_ONLY, .accepted = "'CLIPTokenizer'|'CLIPTokenizerFast'"},
    {"do_lower_case", CONFIG_ONLY, .accepted = "true"},
    {"add_prefix_space", CONFIG_ONLY, .accepted = "false"},
    {"additional_special_tokens", CONFIG_ONLY, .accepted = "[]"},
    {"extra_special_tokens", CONFIG_ONLY, .accepted = "{}|[]"},
    {"padding_side", CONFIG_ONLY, .accepted = "'right'"},
    {"truncation_side", CONFIG_ONLY, .accepted = "'right'"},
    {"split_special_tokens", CONFIG_ONLY, .accepted = "false"},
    {"added_tokens_decoder", .kind = CONFIG_ANY}, /* checked by check_added */
    {"bos_token", .kind = CONFIG_ANY},
    {"eos_token", .kind = CONFIG_ANY},
    {"pad_token", .kind = CONFIG_ANY},
    {"unk_token", .kind = CONFIG_ANY},
    /* from ids back to text, which is not done */
    {"clean_up_tokenization_spaces", .kind = CONFIG_ANY},
    {"errors", .kind = CONFIG_ANY},
    /* how a caller uses the tokenizer: diffusers always pads and cuts to the maximum */
    {"max_length", .kind = CONFIG_ANY},
    {"stride", .kind = CONFIG_ANY},
    {"truncation_strategy", .kind = CONFIG_ANY},
    {"pad_to_multiple_of", .kind = CONFIG_ANY},
    {"pad_token_type_id", .kind = CONFIG_ANY},
    /* how the file was written */
    {"backend", .kind = CONFIG_ANY},
    {"is_local", .kind = CONFIG_ANY},
    {"name_or_path", .kind = CONFIG_ANY},
    {"processor_class", .kind = CONFIG_ANY},
    {"special_tokens_map_file", .kind = CONFIG_ANY},
    {"tokenizer_file", .kind = CONFIG_ANY},
    {"use_fast", .kind = CONFIG_ANY},
    {.key = NULL},
};
static const struct config_key specials_keys[] = {
    {"additional_special_tokens", CONFIG_ONLY, .accepted = "[]"},
    {"bos_token", .kind = CONFIG_ANY},
    {"eos_token", .kind = CONFIG_ANY},
    {"pad_token", .kind = CONFIG_ANY},
    {"unk_token", .kind = CONFIG_ANY},
    {.key = NULL},
};

enum special { START, END, PAD, UNKNOWN, SPECIAL_COUNT };

struct files {
  const char *folder, *name; /* the model's, and the tokenizer's within: "tokenizer" */
  struct bytes vocabulary, merges;
  char special[SPECIAL_COUNT][SPECIAL_BYTES_MAX];
};

/* A file by its path within the model's folder, as it is told in messages, by value. */
struct path {
  char text[128];
};
static struct path path_of(const struct files *files, const char *file) {
  struct path path;
  snprintf(path.text, sizeof path.text, "%s/%s", files->name, file);
  return path;
}

static bool is_there(const struct files *files, const char *file) {
  return config_file_exists(files->folder, path_of(files, file).text);
}

/* A token is its text, or an object that has the text as "content". NULL when the key is absent or
 * null. */
static const char *token_text(const json_t *root, const char *key) {
  const json_t *value = json_object_get(root, key);
  return json_string_value(json_is_object(value) ? json_object_get(value, "content") : value);
}

static enum status read_special(const json_t *root, const char *key, char *text) {
  const char *token = token_text(root, key);
  if (token == NULL) {
    return OK;
  }
  if (strlen(token) >= SPECIAL_BYTES_MAX) {
    return fail_field(BAD_INPUT, "config", "%s: a special token may have %d bytes", key,
                      SPECIAL_BYTES_MAX - 1);
  }
  memcpy(text, token, strlen(token) + 1);
  return OK;
}

/* A token may ask to take the blanks beside it along, or to stand alone: then text is cut in
 * another way. */
static enum status check_flags(const struct files *files, const char *id, const json_t *token) {
  static const char *const flags[] = {"lstrip", "rstrip", "single_word"};
  for (size_t i = 0; i < sizeof flags / sizeof *flags; i++) {
    const json_t *flag = json_object_get(token, flags[i]);
    if (flag != NULL && !json_is_false(flag)) {
      return fail_field(BAD_INPUT, "config", "%s: added token %s: only false is implemented for %s",
                        path_of(files, SETTINGS_FILE).text, id, flags[i]);
    }
  }
  return OK;
}

/* Textual inversions add tokens, which is not implemented: an added token must be one of the
 * special ones. */
static enum status check_added(const json_t *root, const struct files *files) {
  const char *id = NULL;
  json_t *token = NULL;
  json_object_foreach(json_object_get(root, "added_tokens_decoder"), id, token) {
    const char *text = json_string_value(json_object_get(token, "content"));
    bool special = false;
    for (int i = 0; i < SPECIAL_COUNT; i++) {
      special = special || (text != NULL && strcmp(text, files->special[i]) == 0);
    }
    if (!special) {
      return fail_field(BAD_INPUT, "config",
                        "%s: added token %s is not one of the special tokens: not implemented",
                        path_of(files, SETTINGS_FILE).text, id);
    }
    TRY(check_flags(files, id, token));
  }
  return OK;
}

static enum status read_specials(struct files *files, const char *file,
                                 const struct config_key *keys) {
  static const char *const key[SPECIAL_COUNT] = {"bos_token", "eos_token", "pad_token",
                                                 "unk_token"};
  struct settings ignored;
  struct path path = path_of(files, file);
  TRY(config_read(files->folder, path.text, keys, &ignored));
  json_t *root = NULL;
  TRY(config_json_file(files->folder, path.text, CONFIG_BYTES_MAX, &root));
  enum status status = OK;
  for (int i = 0; i < SPECIAL_COUNT && status == OK; i++) {
    status = read_special(root, key[i], files->special[i]);
  }
  if (status == OK) {
    status = check_added(root, files);
  }
  json_decref(root);
  return status;
}

static enum status read_settings(int tokens, struct files *files) {
  struct settings settings = {0};
  struct path path = path_of(files, SETTINGS_FILE);
  TRY(config_read(files->folder, path.text, settings_keys, &settings));
  if (settings.tokens_max < NO_MAXIMUM && settings.tokens_max != tokens) {
    return fail_field(BAD_INPUT, "config",
                      "%s: model_max_length is %g, the text encoder has %d positions", path.text,
                      settings.tokens_max, tokens);
  }
  return read_specials(files, SETTINGS_FILE, settings_keys);
}

/* What the later file says wins, as in transformers. */
static enum status read_files(int tokens, struct files *files) {
  static const char *const standard[SPECIAL_COUNT] = {"<|startoftext|>", "<|endoftext|>",
                                                      "<|endoftext|>", "<|endoftext|>"};
  for (int i = 0; i < SPECIAL_COUNT; i++) {
    memcpy(files->special[i], standard[i], strlen(standard[i]) + 1);
  }
  if (is_there(files, ADDED_FILE)) {
    return fail_field(BAD_INPUT, "config", "%s: added tokens are not implemented",
                      path_of(files, ADDED_FILE).text);
  }
  if (is_there(files, SETTINGS_FILE)) {
    TRY(read_settings(tokens, files));
  }
  if (is_there(files, SPECIALS_FILE)) {
    TRY(read_specials(files, SPECIALS_FILE, specials_keys));
  }
  if (!is_there(files, VOCABULARY_FILE) && is_there(files, WHOLE_FILE)) {
    return fail_field(BAD_INPUT, "config",
                      "%s alone is not implemented: %s and " MERGES_FILE " are needed too",
                      path_of(files, WHOLE_FILE).text, path_of(files, VOCABULARY_FILE).text);
  }
  TRY(config_file(files->folder, path_of(files, VOCABULARY_FILE).text, &files->vocabulary));
  return config_file(files->folder, path_of(files, MERGES_FILE).text, &files->merges);
}

enum status tokenizer_open(const char *folder, const char *name, struct tokenizer_shape shape,
                           struct tokenizer **out) {
  struct files files = {.folder = folder, .name = name};
  bytes_open(&files.vocabulary, VOCABULARY_BYTES_MAX);
  bytes_open(&files.merges, VOCABULARY_BYTES_MAX);
  enum status status = read_files(shape.tokens, &files);
  if (status == OK) {
    struct tokenizer_texts texts = {.vocabulary = bytes_text(&files.vocabulary),
                                    .vocabulary_bytes = files.vocabulary.length,
                                    .merges = bytes_text(&files.merges),
                                    .start = files.special[START],
                                    .end = files.special[END],
                                    .pad = files.special[PAD],
                                    .unknown = files.special[UNKNOWN]};
    status = tokenizer_make(&texts, shape, out);
  }
  bytes_close(&files.vocabulary);
  bytes_close(&files.merges);
  return status;
}
