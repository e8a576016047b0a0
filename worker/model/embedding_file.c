/* embedding_file.c - which tensor is of which encoder, and whether it fits. */
#include "worker/model/embedding_file.h"

#include <stdbool.h>
#include <string.h>

#include "worker/model/safetensors.h"

#define TABLE_BYTES_MAX ((size_t)64 * 1024 * 1024)
/* How a file that users have as a pickle becomes one that is loaded. */
#define CONVERSION                                                                       \
  "to convert one of A1111's: python3 -c \"import torch; from safetensors.torch import " \
  "save_file; save_file({'emb_params': torch.load('OLD', weights_only=True)"             \
  "['string_to_param']['*'].detach().contiguous()}, 'NEW.safetensors')\""

#define REFUSE(...) fail_field(BAD_INPUT, "embedding", __VA_ARGS__)

/* ---- the word ---- */

static enum status check_token(const char *name, const char *token) {
  size_t length = strlen(token);
  if (length == 0 || length > EMBEDDING_TOKEN_BYTES_MAX) {
    return REFUSE("%s: its word has %zu bytes, allowed are 1 to %d", name, length,
                  EMBEDDING_TOKEN_BYTES_MAX);
  }
  for (const char *at = token; *at != '\0'; at++) {
    if ((unsigned char)*at <= ' ' || *at == 0x7f) {
      return REFUSE("%s: its word \"%s\" has a space or control character", name, token);
    }
  }
  return OK;
}

/* ---- which tensor ---- */

static bool is_of_any(const char *name) {
  return strcmp(name, "emb_params") == 0 || strcmp(name, "string_to_param.*") == 0 ||
         strcmp(name, "string_to_param") == 0;
}

/* The names that files for two encoders have. */
static const char *name_of_encoder(enum network network) {
  return network == NETWORK_TEXT_2 ? "clip_g" : "clip_l";
}

/* A file for one encoder has one tensor: A1111's under a name that says so, diffusers' under the
 * word. */
static const struct safetensors_entry *find_only(const struct safetensors *table) {
  bool named = table->count == 1 && (strcmp(table->entry[0].name, "clip_l") == 0 ||
                                     strcmp(table->entry[0].name, "clip_g") == 0);
  return table->count == 1 && !named ? &table->entry[0] : NULL;
}

static const struct safetensors_entry *find_entry(const struct embedding_target *target,
                                                  const struct safetensors *table, int encoder) {
  const struct safetensors_entry *own =
      safetensors_find(table, name_of_encoder(target->network[encoder]));
  return own == NULL && target->encoders == 1 ? find_only(table) : own;
}

/* Nothing of a file goes unnoticed. */
static enum status check_names(const struct embedding_source *source,
                               const struct safetensors *table) {
  for (size_t i = 0; i < table->count; i++) {
    const char *name = table->entry[i].name;
    bool known = table->count == 1 || strcmp(name, "clip_l") == 0 || strcmp(name, "clip_g") == 0;
    if (!known) {
      return REFUSE(
          "%s: \"%s\" is one of %zu tensors; expected is one (emb_params, string_to_param.*, or "
          "the word itself), or clip_l and clip_g",
          source->name, name, table->count);
    }
  }
  return table->count > 0 ? OK : REFUSE("%s: there is no tensor in it", source->name);
}

/* ---- its values ---- */

static enum status check_shape(const struct embedding_target *target,
                               const struct embedding_source *source,
                               const struct safetensors_entry *entry, int encoder) {
  int64_t width = target->width[encoder];
  int64_t vectors = entry->rank == 2 ? entry->shape[0] : 1;
  int64_t found = entry->rank > 0 ? entry->shape[entry->rank - 1] : 0;
  if (entry->type->element < 0) {
    return REFUSE("%s: \"%s\" is %s; F32, F16 and BF16 are implemented", source->name, entry->name,
                  entry->type->name);
  }
  if (entry->rank < 1 || entry->rank > 2 || found != width) {
    return REFUSE(
        "%s: \"%s\" has vectors of %lld values in %d dimensions; text encoder %d of a model of "
        "family %s has %lld, and [d] or [k, d] is expected",
        source->name, entry->name, (long long)found, entry->rank, encoder + 1, target->family,
        (long long)width);
  }
  if (vectors < 1 || vectors > EMBEDDING_VECTORS_MAX) {
    return REFUSE("%s: \"%s\" has %lld vectors, allowed are 1 to %d", source->name, entry->name,
                  (long long)vectors, EMBEDDING_VECTORS_MAX);
  }
  return OK;
}

static enum status take_values(const char *name, const struct safetensors *table,
                               const struct safetensors_entry *entry, struct arena *arena,
                               float **out) {
  size_t bytes = entry->end - entry->begin;
  int64_t count = (int64_t)(bytes / ((size_t)entry->type->bits / 8));
  void *aligned = arena_take(arena, bytes); /* a file's tensors may lie at odd addresses */
  float *values = arena_take(arena, (size_t)count * sizeof *values);
  if (aligned == NULL || values == NULL) {
    return EXHAUSTED;
  }
  memcpy(aligned, table->data + entry->begin, bytes);
  if (!elements_finite((enum element)entry->type->element, aligned, count)) {
    return REFUSE("%s: \"%s\" has values that are no finite numbers", name, entry->name);
  }
  elements_to_f32((enum element)entry->type->element, aligned, count, values);
  *out = values;
  return OK;
}

static enum status read_encoder(const struct embedding_target *target,
                                const struct embedding_source *source,
                                const struct safetensors *table, int encoder, struct arena *arena,
                                struct embedding_vectors *read) {
  const struct safetensors_entry *entry = find_entry(target, table, encoder);
  if (entry == NULL) {
    return REFUSE("%s: \"%s\" is missing: text encoder %d of a model of family %s gets no vectors",
                  source->name, name_of_encoder(target->network[encoder]), encoder + 1,
                  target->family);
  }
  TRY(check_shape(target, source, entry, encoder));
  int vectors = entry->rank == 2 ? (int)entry->shape[0] : 1;
  if (encoder > 0 && vectors != read->vectors) {
    return REFUSE("%s: \"%s\" has %d vectors, those of the other encoder are %d", source->name,
                  entry->name, vectors, read->vectors);
  }
  read->vectors = vectors;
  return take_values(source->name, table, entry, arena, &read->value[encoder]);
}

/* ---- the file ---- */

static enum status read_table(const struct embedding_source *source, struct arena *arena,
                              struct safetensors *out) {
  enum status status = safetensors_read(source->name, source->data, source->bytes, arena, out);
  if (status != BAD_INPUT) {
    return status;
  }
  bool pickle = strstr(fail_reason(), "pickle") != NULL;
  return REFUSE("%s%s%s", fail_reason(), pickle ? "; " : "", pickle ? CONVERSION : "");
}

/* The job's word, or the one that diffusers' file has. */
static enum status choose_token(const struct embedding_source *source,
                                const struct safetensors *table, struct arena *arena,
                                const char **out) {
  const struct safetensors_entry *only = find_only(table);
  const char *token = source->token;
  if (token == NULL && only != NULL && !is_of_any(only->name)) {
    token = only->name;
  }
  if (token == NULL) {
    return REFUSE("%s: the file does not name the word that it is for, and nobody else does",
                  source->name);
  }
  TRY(check_token(source->name, token));
  return arena_keep_text(arena, token, out);
}

static enum status read_all(const struct embedding_target *target,
                            const struct embedding_source *source, const struct safetensors *table,
                            struct arena *arena, struct embedding_vectors *out) {
  struct embedding_vectors read = {0};
  TRY(check_names(source, table));
  TRY(choose_token(source, table, arena, &read.token));
  for (int encoder = 0; encoder < target->encoders; encoder++) {
    TRY(read_encoder(target, source, table, encoder, arena, &read));
  }
  *out = read;
  return OK;
}

enum status embedding_read(const struct embedding_target *target,
                           const struct embedding_source *source, struct arena *arena,
                           struct embedding_vectors *out) {
  struct arena *scratch = NULL;
  struct safetensors table;
  TRY(arena_open(NULL, TABLE_BYTES_MAX, &scratch));
  enum status status = read_table(source, scratch, &table);
  if (status == OK) {
    status = read_all(target, source, &table, arena, out);
  }
  arena_close(&scratch);
  return status;
}
