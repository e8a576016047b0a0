/* models_keys.c - each key, what it sets and for which rows it means something. */
#include "worker/models_keys.h"

#include <stdio.h>
#include <string.h>

#include "base/nearest.h"
#include "base/text.h"
#include "worker/devices.h"
#include "worker/options.h"

enum status models_keep(struct reading *reading, const char *text, const char **out) {
  const char *copied = arena_copy_text(reading->table->arena, text, strlen(text));
  if (copied == NULL) {
    return EXHAUSTED;
  }
  *out = copied;
  return OK;
}

/* A place relative to the table's own folder. */
static enum status keep_path(struct reading *reading, const char *value, const char **out) {
  if (value[0] == '/') {
    return models_keep(reading, value, out);
  }
  char path[FILE_PATH_MAX];
  TRY(file_join(path, reading->folder, value));
  return models_keep(reading, path, out);
}

static bool ends_with(const char *text, const char *ending) {
  size_t bytes = strlen(text), wanted = strlen(ending);
  return bytes > wanted && strcmp(text + bytes - wanted, ending) == 0;
}

/* path = FOLDER or FILE.safetensors, relative to the table */
static enum status set_path(struct reading *reading, struct models_row *row, const char *value) {
  const char *path = NULL, *name = NULL;
  TRY(keep_path(reading, value, &path));
  if (!ends_with(path, ".safetensors")) {
    row->source.folder = path;
    row->source.file = NULL;
    return OK;
  }
  name = strrchr(path, '/') + 1; /* keep_path has put a folder before it */
  char *folder = arena_copy_text(reading->table->arena, path, (size_t)(name - path));
  if (folder == NULL) {
    return EXHAUSTED;
  }
  row->source.folder = folder;
  row->source.file = name;
  return OK;
}

static enum status check_item(const struct reading *reading, const char *item) {
  bool every = strcmp(item, "*") == 0 || strcmp(item, "cuda") == 0;
  return every || devices_check(item) == OK
             ? OK
             : fail(BAD_INPUT,
                    "%s:%d: \"%.60s\" is no device: *, cpu, ref, cuda (every GPU), cuda:N, "
                    "cuda:GPU-UUID or cuda:MIG-UUID",
                    reading->path, reading->line, item);
}

/* devices = LIST: a name that means nothing would pin the model nowhere, and nobody would know. */
static enum status set_devices(struct reading *reading, struct models_row *row, const char *value) {
  const char *item[OPTIONS_ITEMS_MAX];
  size_t count = 0;
  TRY(models_keep(reading, value, &row->devices));
  char *list = arena_copy_text(reading->table->arena, value, strlen(value));
  if (list == NULL) {
    return EXHAUSTED;
  }
  TRY(text_split("devices", list, OPTIONS_ITEMS_MAX, item, &count));
  for (size_t i = 0; i < count; i++) {
    TRY(check_item(reading, item[i]));
  }
  return OK;
}

static enum status read_word(const struct reading *reading, const char *name, const char *value,
                             const char *const *words, int *out) {
  char list[160] = "";
  for (int i = 0; words[i] != NULL; i++) {
    if (strcmp(words[i], value) == 0) {
      *out = i;
      return OK;
    }
    size_t at = strlen(list);
    snprintf(list + at, sizeof list - at, "%s%s", i > 0 ? ", " : "", words[i]);
  }
  return fail(BAD_INPUT, "%s:%d: %s is one of %s, not %.60s", reading->path, reading->line, name,
              list, value);
}

static const char *const yes_or_no[] = {"no", "yes", NULL};

/* The row before this one that is marked as the default. */
static const struct models_row *marked(const struct models_table *table,
                                       const struct models_row *row) {
  for (size_t i = 0; i < table->count; i++) {
    if (table->row[i].standard && &table->row[i] != row) {
      return &table->row[i];
    }
  }
  return NULL;
}

static enum status set_default(struct reading *reading, struct models_row *row, const char *value) {
  int yes = 0;
  TRY(read_word(reading, "default", value, yes_or_no, &yes));
  const struct models_row *other = marked(reading->table, row);
  if (yes && other != NULL) {
    return fail(BAD_INPUT, "%s:%d: %s is the default already", reading->path, reading->line,
                other->id);
  }
  row->standard = yes;
  return OK;
}

static enum status set_averaged(struct reading *reading, struct models_row *row,
                                const char *value) {
  int yes = 0;
  TRY(read_word(reading, "ema", value, yes_or_no, &yes));
  row->source.averaged = yes;
  return OK;
}

static enum status set_pinned(struct reading *reading, struct models_row *row, const char *value) {
  int yes = 0;
  TRY(read_word(reading, "pinned", value, yes_or_no, &yes));
  row->on_demand = !yes;
  return OK;
}

static const char *const kind_words[] = {
    [MODELS_MODEL] = "model",         [MODELS_CONTROL] = "control", [MODELS_LORA] = "lora",
    [MODELS_EMBEDDING] = "embedding", [MODELS_TINY] = "tiny",       NULL};

static enum status set_kind(struct reading *reading, struct models_row *row, const char *value) {
  int kind = 0;
  TRY(read_word(reading, "kind", value, kind_words, &kind));
  row->kind = (enum models_kind)kind;
  return OK;
}

static enum status set_prediction(struct reading *reading, struct models_row *row,
                                  const char *value) {
  static const char *const words[] = {"epsilon", "v_prediction", "sample", NULL};
  int at = 0;
  TRY(read_word(reading, "prediction", value, words, &at));
  row->source.prediction = words[at];
  return OK;
}

static enum status set_variant(struct reading *reading, struct models_row *row, const char *value) {
  if (value[0] == '\0' || strspn(value, "abcdefghijklmnopqrstuvwxyz0123456789_") != strlen(value)) {
    return fail(BAD_INPUT, "%s:%d: a variant has letters, digits and '_': \"%.60s\"", reading->path,
                reading->line, value);
  }
  return models_keep(reading, value, &row->source.variant);
}

static enum status set_family(struct reading *reading, struct models_row *row, const char *value) {
  return models_keep(reading, value, &row->source.family);
}
static enum status set_tokenizer(struct reading *reading, struct models_row *row,
                                 const char *value) {
  return keep_path(reading, value, &row->source.tokenizer);
}
static enum status set_configs(struct reading *reading, struct models_row *row, const char *value) {
  return keep_path(reading, value, &row->source.configs);
}

/* Who may have a key. */
enum { MODEL = 1 << MODELS_MODEL, CONTROL = 1 << MODELS_CONTROL, TINY = 1 << MODELS_TINY };
enum { EVERY = 0xff, IN_FOLDER = 1 << 8, IN_FILE = 1 << 9, ANYWHERE = IN_FOLDER | IN_FILE };

static const struct {
  const char *name;
  enum status (*set)(struct reading *reading, struct models_row *row, const char *value);
  int means; /* the kinds and layouts of rows for which it means something */
} keys[] = {
    {"kind", set_kind, EVERY | ANYWHERE},
    {"path", set_path, EVERY | ANYWHERE},
    {"devices", set_devices, EVERY | ANYWHERE},
    {"default", set_default, MODEL | ANYWHERE},
    {"pinned", set_pinned, MODEL | ANYWHERE},
    {"variant", set_variant, MODEL | CONTROL | TINY | IN_FOLDER},
    {"family", set_family, MODEL | CONTROL | TINY | ANYWHERE},
    {"prediction", set_prediction, MODEL | ANYWHERE},
    {"tokenizer", set_tokenizer, MODEL | ANYWHERE},
    {"configs", set_configs, MODEL | CONTROL | IN_FILE},
    {"ema", set_averaged, MODEL | IN_FILE},
};
enum { KEY_COUNT = sizeof keys / sizeof keys[0] };
_Static_assert(KEY_COUNT <= 8 * sizeof((struct models_row *)0)->keys, "a bit for each");

static enum status unknown_key(const struct reading *reading, const char *name) {
  struct nearest nearest = {.typed = name};
  nearest_offer(&nearest, "sha256");
  for (size_t i = 0; i < KEY_COUNT; i++) {
    nearest_offer(&nearest, keys[i].name);
  }
  return fail(BAD_INPUT, "%s:%d: there is no \"%s\"%s%s", reading->path, reading->line, name,
              nearest.name != NULL ? "; did you mean " : "",
              nearest.name != NULL ? nearest.name : "");
}

enum status models_set_key(struct reading *reading, struct models_row *row, const char *name,
                           const char *value) {
  for (size_t i = 0; i < KEY_COUNT; i++) {
    if (strcmp(keys[i].name, name) != 0) {
      continue;
    }
    if ((row->keys >> i & 1) != 0) {
      return fail(BAD_INPUT, "%s:%d: [%s] has %s already", reading->path, reading->line, row->id,
                  name);
    }
    row->keys |= 1u << i;
    return keys[i].set(reading, row, value);
  }
  return unknown_key(reading, name);
}

enum status models_check_keys(const char *path, const struct models_row *row) {
  bool single = row->source.file != NULL;
  if ((row->kind == MODELS_LORA || row->kind == MODELS_EMBEDDING) && !single) {
    return fail(BAD_INPUT, "%s: [%s] is a %s: its path must be a .safetensors file", path, row->id,
                kind_words[row->kind]);
  }
  if (single &&
      (row->source.hash_count != 1 || strcmp(row->hashes[0].path, row->source.file) != 0)) {
    return fail(BAD_INPUT, "%s: [%s] is a single file: it has one sha256, of %s", path, row->id,
                row->source.file);
  }
  for (size_t i = 0; i < KEY_COUNT; i++) {
    bool meant = (keys[i].means >> row->kind & 1) != 0 &&
                 (keys[i].means & (single ? IN_FILE : IN_FOLDER)) != 0;
    if ((row->keys >> i & 1) != 0 && !meant) {
      return fail(BAD_INPUT, "%s: [%s]: %s means nothing for a %s %s", path, row->id, keys[i].name,
                  kind_words[row->kind], single ? "in a single file" : "in a folder");
    }
  }
  return OK;
}
