/* models_print.c - a row of the model table for what lies at a path: which kind it is by its
 * content, which files of it are loaded.
 */
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "proto/job.h"
#include "store/digest.h"
#include "store/files.h"
#include "worker/model/config.h"
#include "worker/model/family_guess.h"
#include "worker/model/key_layout.h"
#include "worker/model/model.h"
#include "worker/model/shards.h"
#include "worker/model/weight_files.h"
#include "worker/models_table.h"
#include "worker/weights_look.h"

#define SINGLE_ENDING ".safetensors"
#define TABLE_BYTES_MAX ((size_t)1 << 30) /* of a weight file, which is bounded by its header */

/* What is printed, of which folder or file. */
struct printed {
  struct model_source source;
  char folder[FILE_PATH_MAX];
  enum models_kind kind;
  struct family family; /* of a model */
};

/* which kind -------------------------------------------------------------------------------- */

/* Parts of names that adapters have in every dialect, and no network. */
static bool is_adapter(const struct safetensors *table) {
  static const char *const marks[] = {".lora_",  "_lora",       "lora.", ".hada_w",
                                      ".lokr_w", ".dora_scale", ".diff"};
  for (size_t i = 0; i < table->count; i++) {
    for (size_t k = 0; k < sizeof marks / sizeof *marks; k++) {
      if (strstr(table->entry[i].name, marks[k]) != NULL) {
        return true;
      }
    }
  }
  return false;
}

/* A few vectors. */
static bool is_embedding(const struct safetensors *table) {
  enum { VECTORS_MAX = 4 };
  bool all = table->count > 0 && table->count <= VECTORS_MAX;
  for (size_t i = 0; all && i < table->count; i++) {
    all = table->entry[i].rank <= 2 && table->entry[i].type->element >= 0;
  }
  return all;
}

static enum status kind_of_table(const char *path, const struct safetensors *table,
                                 enum models_kind *out) {
  enum models_kind kind = MODELS_MODEL;
  if (key_layout_find(table, NETWORK_UNET, NULL) != NULL) {
    kind = MODELS_MODEL;
  } else if (key_layout_find(table, NETWORK_CONTROL, NULL) != NULL) {
    kind = MODELS_CONTROL;
  } else if (is_adapter(table)) {
    kind = MODELS_LORA;
  } else if (key_layout_find(table, NETWORK_TINY, NULL) != NULL) {
    kind = MODELS_TINY;
  } else if (is_embedding(table)) {
    kind = MODELS_EMBEDDING;
  } else {
    return fail_field(BAD_INPUT, "weights",
                      "%s: neither a model, a control net, a LoRA, an embedding nor a tiny decoder "
                      "is known by its keys, such as \"%s\"",
                      path, table->count > 0 ? table->entry[0].name : "(none)");
  }
  *out = kind;
  return OK;
}

static enum status kind_of_file(const char *path, enum models_kind *out) {
  struct arena *arena = NULL;
  struct mapped file = {0};
  TRY(arena_open(NULL, TABLE_BYTES_MAX, &arena));
  enum status status = mapped_open(path, NULL, arena, &file);
  if (status == OK) {
    status = kind_of_table(path, &file.table, out);
    mapped_close(&file);
  }
  arena_close(&arena);
  return status;
}

static enum status kind_of_folder(const char *folder, enum models_kind *out) {
  json_t *root = NULL;
  if (config_file_exists(folder, "model_index.json") ||
      !config_file_exists(folder, "config.json")) {
    *out = MODELS_MODEL;
    return OK;
  }
  TRY(config_json_file(folder, "config.json", CONFIG_BYTES_MAX, &root));
  const char *name = json_string_value(json_object_get(root, "_class_name"));
  bool control = name != NULL && strcmp(name, "ControlNetModel") == 0;
  bool tiny = name != NULL && strcmp(name, "AutoencoderTiny") == 0;
  json_decref(root);
  if (!control && !tiny) {
    return fail_field(BAD_INPUT, "config",
                      "%s/config.json: _class_name must be ControlNetModel or AutoencoderTiny; a "
                      "model has a model_index.json",
                      folder);
  }
  *out = control ? MODELS_CONTROL : MODELS_TINY;
  return OK;
}

/* of a network ------------------------------------------------------------------------------ */

/* The files that are loaded; beside them others may lie. */
struct part {
  const char *folder, *stem; /* the stem without its folder */
  char within[64];           /* "unet/" */
  char file[WEIGHT_FILES_MAX][256];
  size_t count;
};

static enum status add_file(struct part *part, const char *file) {
  if (strlen(file) >= sizeof part->file[0]) {
    return fail(BAD_INPUT, "%.60s...: a file's name is too long", file);
  }
  snprintf(part->file[part->count++], sizeof part->file[0], "%s", file);
  return OK;
}

static enum status add_shards(struct part *part, const char *index) {
  struct shards shards;
  TRY(shards_read(part->folder, index, &shards));
  enum status status = OK;
  for (size_t i = 0; i < shards.count && status == OK; i++) {
    status = add_file(part, shards.file[i]);
  }
  shards_close(&shards);
  return status;
}

static enum status choose(const struct model_source *source, enum network network,
                          struct part *out) {
  const char *stem = network_stems[network], *slash = strrchr(stem, '/');
  char name[FILE_PATH_MAX];
  size_t within = slash != NULL ? (size_t)(slash + 1 - stem) : 0;
  *out = (struct part){.folder = source->folder, .stem = stem + within};
  snprintf(out->within, sizeof out->within, "%.*s", (int)within, stem);
  TRY(weight_file_choose(source, network, name, sizeof name));
  return shards_is_index(name) ? add_shards(out, name) : add_file(out, name + within);
}

static enum status print_hash(const char *folder, const char *name, FILE *out) {
  char path[FILE_PATH_MAX];
  char hash[SHA256_TEXT_MAX];
  TRY(file_join(path, folder, name));
  TRY(weights_look(path));
  TRY(digest_sha256_file(path, hash));
  fprintf(out, "sha256 %s = %s\n", name, hash);
  return OK;
}

static enum status print_hashes(const struct part *part, FILE *out) {
  for (size_t i = 0; i < part->count; i++) {
    char name[FILE_PATH_MAX];
    snprintf(name, sizeof name, "%s%s", part->within, part->file[i]);
    TRY(print_hash(part->folder, name, out));
  }
  return OK;
}

static bool is_chosen(const struct part *part, const char *file) {
  for (size_t i = 0; i < part->count; i++) {
    if (strcmp(part->file[i], file) == 0) {
      return true;
    }
  }
  return false;
}

static int not_hidden(const struct dirent *entry) { return entry->d_name[0] != '.'; }

static enum status print_left_out(const struct part *part, FILE *out) {
  char path[FILE_PATH_MAX];
  TRY(file_join(path, part->folder, part->within));
  struct dirent **entries = NULL;
  int count = scandir(path, &entries, not_hidden, alphasort);
  for (int i = 0; i < count; i++) {
    const char *file = entries[i]->d_name;
    const char *why = weight_file_left_out(file, part->stem, part->file[0]);
    bool index = part->count > 1 && shards_is_index(file);
    if (why != NULL && !is_chosen(part, file) && !index) {
      fprintf(out, "# left out: %s%s: %s\n", part->within, file, why);
    }
    free(entries[i]);
  }
  free(entries);
  return OK;
}

static enum status print_network(const struct model_source *source, enum network network,
                                 FILE *out) {
  struct part part;
  TRY(choose(source, network, &part));
  TRY(print_hashes(&part, out));
  return print_left_out(&part, out);
}

/* of a source ------------------------------------------------------------------------------- */

/* By name, as ls and sha256sum show them. */
static enum status print_folder(const struct printed *row, FILE *out) {
  static const enum network order[] = {NETWORK_TEXT, NETWORK_TEXT_2, NETWORK_UNET, NETWORK_VAE};
  if (row->kind != MODELS_MODEL) {
    return print_network(&row->source, row->kind == MODELS_CONTROL ? NETWORK_CONTROL : NETWORK_TINY,
                         out);
  }
  for (size_t i = 0; i < sizeof order / sizeof order[0]; i++) {
    bool text = order[i] == NETWORK_TEXT || order[i] == NETWORK_TEXT_2;
    if (!text || family_encoder(&row->family, order[i]) >= 0) {
      TRY(print_network(&row->source, order[i], out));
    }
  }
  return OK;
}

static enum status print_single(const struct printed *row, FILE *out) {
  if (row->kind == MODELS_MODEL) {
    fprintf(out, "# family: %s\n", row->family.row->name);
  }
  if (row->kind == MODELS_MODEL && row->family.prediction_assumed) {
    fprintf(out,
            "# no file says what it predicts: those of 768 pixels v, those of 512 pixels epsilon\n"
            "prediction = v_prediction\n");
  }
  if (row->kind == MODELS_MODEL && model_look(&row->source) != OK) {
    fprintf(out, "# before it loads: %s\n", fail_reason());
  }
  return print_hash(row->source.folder, row->source.file, out);
}

static enum status look_at(struct printed *row) {
  if (row->source.file != NULL) {
    return row->kind == MODELS_MODEL ? family_look(&row->source, &row->family) : OK;
  }
  if (row->kind == MODELS_MODEL) {
    TRY(model_look(&row->source));
    return family_look(&row->source, &row->family);
  }
  struct part part;
  return choose(&row->source, row->kind == MODELS_CONTROL ? NETWORK_CONTROL : NETWORK_TINY, &part);
}

/* "models/demo" -> "demo", "sd/v1.safetensors" -> "v1"; a letter that a model's id may not have
 * becomes '-'. */
static void last_name(const char *path, char name[128]) {
  const char *begin = strrchr(path, '/') + 1; /* the path is absolute */
  size_t bytes = strlen(begin), ending = strlen(SINGLE_ENDING);
  bool single = bytes > ending && strcmp(begin + bytes - ending, SINGLE_ENDING) == 0;
  snprintf(name, 128, "%.*s", (int)(single ? bytes - ending : bytes), begin);
  for (char *at = name; *at != '\0'; at++) {
    *at = isalnum((unsigned char)*at) || strchr("._-", *at) != NULL ? *at : '-';
  }
  if (name[0] == '\0' || !job_id_valid(name)) {
    snprintf(name, 128, "model");
  }
}

/* The table has no way to write some paths: '#' begins a comment there, and a line ends a value. */
static enum status check_path(const char *path) {
  size_t bytes = strlen(path);
  if (strpbrk(path, "#\r\n") != NULL || isspace((unsigned char)path[bytes - 1])) {
    return fail(BAD_INPUT,
                "%s: a path with '#', a line end or a space at its end cannot stand in the table",
                path);
  }
  return OK;
}

static bool is_folder(const char *path) {
  DIR *folder = opendir(path);
  if (folder == NULL) {
    return false;
  }
  closedir(folder);
  return true;
}

static enum status find_source(const char *absolute, struct printed *row) {
  if (is_folder(absolute)) {
    row->source.folder = absolute;
    return kind_of_folder(absolute, &row->kind);
  }
  const char *slash = strrchr(absolute, '/');
  snprintf(row->folder, sizeof row->folder, "%.*s", (int)(slash - absolute + 1), absolute);
  row->source.folder = row->folder;
  row->source.file = slash + 1;
  size_t bytes = strlen(row->source.file), ending = strlen(SINGLE_ENDING);
  TRY(weights_look(absolute));
  if (bytes <= ending || strcmp(row->source.file + bytes - ending, SINGLE_ENDING) != 0) {
    return fail(BAD_INPUT, "%s: a single file's name ends in .safetensors", absolute);
  }
  return kind_of_file(absolute, &row->kind);
}

static enum status print_source(const char *absolute, FILE *out) {
  static const char *const kinds[] = {[MODELS_CONTROL] = "control",
                                      [MODELS_LORA] = "lora",
                                      [MODELS_EMBEDDING] = "embedding",
                                      [MODELS_TINY] = "tiny"};
  struct printed row = {0};
  char name[128];
  /* before the first word: what is printed must load */
  TRY(check_path(absolute));
  TRY(find_source(absolute, &row));
  TRY(look_at(&row));
  last_name(absolute, name);
  fprintf(out, "[%s]\n", name);
  if (row.kind != MODELS_MODEL) {
    fprintf(out, "kind = %s\n", kinds[row.kind]);
  }
  fprintf(out, "path = %s\n", absolute);
  return row.source.file != NULL ? print_single(&row, out) : print_folder(&row, out);
}

enum status models_print_row(const char *path, FILE *out) {
  char *absolute = realpath(path, NULL);
  if (absolute == NULL) {
    return fail(BAD_INPUT, "cannot open %s: %s", path, strerror(errno));
  }
  enum status status = print_source(absolute, out);
  free(absolute);
  return status;
}
