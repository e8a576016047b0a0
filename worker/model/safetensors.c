/* safetensors.c - header, then entries one by one, then all entries against each other. */
#include "worker/model/safetensors.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/tensor.h"
#include "worker/model/config.h"

#define METADATA_KEY "__metadata__"

/* All that the reference knows: a file may hold tensors that nobody here asks for. */
static const struct safetensors_type types[] = {
    {"F32", 32, ELEMENT_F32},
    {"F16", 16, ELEMENT_F16},
    {"BF16", 16, ELEMENT_BF16},
    {"BOOL", 8, -1},
    {"U8", 8, -1},
    {"I8", 8, -1},
    {"F4", 4, -1},
    {"F6_E2M3", 6, -1},
    {"F6_E3M2", 6, -1},
    {"F8_E5M2", 8, -1},
    {"F8_E4M3", 8, -1},
    {"F8_E8M0", 8, -1},
    {"F8_E5M2FNUZ", 8, -1},
    {"F8_E4M3FNUZ", 8, -1},
    {"I16", 16, -1},
    {"U16", 16, -1},
    {"I32", 32, -1},
    {"U32", 32, -1},
    {"F64", 64, -1},
    {"I64", 64, -1},
    {"U64", 64, -1},
    {"C64", 64, -1},
};

#define REFUSE(...) fail_field(BAD_INPUT, "weights", __VA_ARGS__)

/* ---- the file ---- */

/* A pickle can run code when it is loaded, so it is told by its content: a file's name proves
 * nothing. A torch .bin or .ckpt is a zip (or, before 2020, a bare pickle, whose first byte is the
 * PROTO opcode). */
static enum status refuse_pickle(const char *name, const uint8_t *file, size_t bytes) {
  static const uint8_t zip[4] = {'P', 'K', 3, 4};
  if (bytes >= 4 && memcmp(file, zip, 4) == 0) {
    return REFUSE(
        "%s is a zip archive, probably a PyTorch pickle (.bin, .ckpt, .pt): darkroom loads only "
        "safetensors, "
        "because a pickle can run code; convert it first",
        name);
  }
  if (bytes >= 2 && file[0] == 0x80 && file[1] >= 1 && file[1] <= 5 &&
      !(bytes > 8 && file[8] == '{')) {
    return REFUSE(
        "%s is a Python pickle: darkroom loads only safetensors, because a pickle can run code; "
        "convert it "
        "first",
        name);
  }
  return OK;
}

static enum status header_length(const char *name, const uint8_t *file, size_t bytes, size_t *out) {
  TRY(refuse_pickle(name, file, bytes));
  if (bytes < 8 + 2) {
    return REFUSE("%s: %zu bytes are too few for a safetensors file", name, bytes);
  }
  uint64_t length = 0;
  for (int i = 7; i >= 0; i--) {
    length = length << 8 | file[i];
  }
  if (length > SAFETENSORS_HEADER_BYTES_MAX) {
    return REFUSE("%s: header of %llu bytes, at most %d are allowed", name,
                  (unsigned long long)length, SAFETENSORS_HEADER_BYTES_MAX);
  }
  if (length > bytes - 8) {
    return REFUSE("%s is truncated: header of %llu bytes, file of %zu", name,
                  (unsigned long long)length, bytes);
  }
  if (file[8] != '{') {
    return REFUSE("%s: the header does not start with '{'", name);
  }
  *out = (size_t)length;
  return OK;
}

/* Writers pad the header with spaces. The format's page forbids other white space, but readers take
 * what JSON takes, so there are files that have it. */
static size_t without_padding(const uint8_t *header, size_t length) {
  while (length > 0 && header[length - 1] != '\0' &&
         strchr(" \t\r\n", header[length - 1]) != NULL) {
    length--;
  }
  return length;
}

static const struct json_rules rules = {.depth_max = 4};

static enum status parse_header(const char *name, const uint8_t *header, size_t length,
                                json_t **out) {
  length = without_padding(header, length);
  if (length == 0 || header[length - 1] != '}') {
    return REFUSE("%s: the header does not end with '}' and white space", name);
  }
  enum status status = config_json(name, (const char *)header, length, rules, out);
  return status == BAD_INPUT ? REFUSE("%s", fail_reason()) : status;
}

/* ---- one entry ---- */

static const struct safetensors_type *find_type(const char *text) {
  for (size_t i = 0; text != NULL && i < sizeof types / sizeof *types; i++) {
    if (strcmp(types[i].name, text) == 0) {
      return &types[i];
    }
  }
  return NULL;
}

/* The shape and the bytes it asks for. The product is checked at every step: a file may not make it
 * wrap around. */
static enum status read_shape(const char *name, const json_t *shape,
                              struct safetensors_entry *entry, uint64_t *bytes) {
  if (!json_is_array(shape) || json_array_size(shape) > SAFETENSORS_RANK_MAX) {
    return REFUSE("%s: shape of \"%s\" must be a list of at most %d", name, entry->name,
                  SAFETENSORS_RANK_MAX);
  }
  entry->rank = (int)json_array_size(shape);
  uint64_t bits = (uint64_t)entry->type->bits;
  for (int i = 0; i < entry->rank; i++) {
    const json_t *side = json_array_get(shape, (size_t)i);
    if (!json_is_integer(side) || json_integer_value(side) < 0) {
      return REFUSE("%s: shape of \"%s\" has an entry that is not a natural number", name,
                    entry->name);
    }
    entry->shape[i] = json_integer_value(side);
    if (__builtin_mul_overflow(bits, (uint64_t)entry->shape[i], &bits)) {
      return REFUSE("%s: shape of \"%s\" overflows", name, entry->name);
    }
  }
  if (bits % 8 != 0) {
    return REFUSE("%s: \"%s\" does not end at a whole byte", name, entry->name);
  }
  *bytes = bits / 8;
  return OK;
}

static enum status read_offsets(const char *name, const json_t *offsets,
                                struct safetensors_entry *entry) {
  const json_t *begin = json_array_get(offsets, 0);
  const json_t *end = json_array_get(offsets, 1);
  if (json_array_size(offsets) != 2 || !json_is_integer(begin) || !json_is_integer(end) ||
      json_integer_value(begin) < 0 || json_integer_value(end) < json_integer_value(begin)) {
    return REFUSE("%s: data_offsets of \"%s\" must be two integers in order", name, entry->name);
  }
  entry->begin = (uint64_t)json_integer_value(begin);
  entry->end = (uint64_t)json_integer_value(end);
  return OK;
}

static enum status read_entry(const char *name, const json_t *value,
                              struct safetensors_entry *entry) {
  if (!json_is_object(value)) {
    return REFUSE("%s: \"%s\" must have dtype, shape and data_offsets", name, entry->name);
  }
  const char *type = json_string_value(json_object_get(value, "dtype"));
  entry->type = find_type(type);
  if (entry->type == NULL) {
    return REFUSE("%s: dtype %s of \"%s\" is unknown", name, type != NULL ? type : "(none)",
                  entry->name);
  }
  uint64_t bytes = 0;
  TRY(read_shape(name, json_object_get(value, "shape"), entry, &bytes));
  TRY(read_offsets(name, json_object_get(value, "data_offsets"), entry));
  if (entry->end - entry->begin != bytes) {
    return REFUSE("%s: \"%s\" needs %llu bytes by its shape, its offsets span %llu", name,
                  entry->name, (unsigned long long)bytes,
                  (unsigned long long)(entry->end - entry->begin));
  }
  return OK;
}

static enum status check_metadata(const char *name, json_t *metadata) {
  const char *key = NULL;
  json_t *value = NULL;
  if (json_is_null(metadata)) {
    return OK;
  }
  if (!json_is_object(metadata)) {
    return REFUSE("%s: __metadata__ is not an object", name);
  }
  json_object_foreach(metadata, key, value) {
    if (!json_is_string(value)) {
      return REFUSE("%s: __metadata__ may hold only strings", name);
    }
  }
  return OK;
}

static enum status read_entries(const char *name, json_t *root, struct arena *arena,
                                struct safetensors *out) {
  const char *key = NULL;
  json_t *value = NULL;
  json_object_foreach(root, key, value) {
    if (strcmp(key, METADATA_KEY) == 0) {
      TRY(check_metadata(name, value));
      continue;
    }
    size_t length = strlen(key);
    if (length > SAFETENSORS_NAME_BYTES_MAX) {
      return REFUSE("%s: a tensor's name has %zu bytes, at most %d are allowed", name, length,
                    SAFETENSORS_NAME_BYTES_MAX);
    }
    struct safetensors_entry *entry = &out->entry[out->count];
    *entry = (struct safetensors_entry){.name = arena_copy_text(arena, key, length)};
    if (entry->name == NULL) {
      return EXHAUSTED;
    }
    TRY(read_entry(name, value, entry));
    out->count++;
  }
  return OK;
}

/* ---- all entries ---- */

/* A tensor of no elements begins and ends where the next one begins: it comes before that one. */
static int by_offset(const void *a, const void *b) {
  const struct safetensors_entry *x = a, *y = b;
  return x->begin != y->begin ? (x->begin < y->begin ? -1 : 1)
                              : (x->end > y->end) - (x->end < y->end);
}

static int by_name(const void *a, const void *b) {
  const struct safetensors_entry *x = a, *y = b;
  return strcmp(x->name, y->name);
}

static enum status check_tiling(const char *name, const struct safetensors *table) {
  uint64_t at = 0;
  for (size_t i = 0; i < table->count; i++) {
    const struct safetensors_entry *entry = &table->entry[i];
    if (entry->begin != at) {
      return REFUSE("%s: \"%s\" begins at %llu, %s at %llu", name, entry->name,
                    (unsigned long long)entry->begin,
                    entry->begin < at ? "overlapping the one before, which ends"
                                      : "leaving a hole: the one before ends",
                    (unsigned long long)at);
    }
    at = entry->end;
  }
  if (at > table->data_bytes) {
    return REFUSE("%s is truncated: tensors of %llu bytes, data of %zu", name,
                  (unsigned long long)at, table->data_bytes);
  }
  if (at < table->data_bytes) {
    return REFUSE("%s: %llu bytes after the last tensor", name,
                  (unsigned long long)(table->data_bytes - at));
  }
  return OK;
}

static enum status read_table(const char *name, json_t *root, struct arena *arena,
                              struct safetensors *out) {
  size_t count = json_object_size(root);
  if (count > SAFETENSORS_TENSORS_MAX) {
    return REFUSE("%s: %zu tensors, at most %d are allowed", name, count, SAFETENSORS_TENSORS_MAX);
  }
  out->entry = arena_take(arena, (count + 1) * sizeof *out->entry);
  if (out->entry == NULL) {
    return EXHAUSTED;
  }
  TRY(read_entries(name, root, arena, out));
  qsort(out->entry, out->count, sizeof *out->entry, by_offset);
  TRY(check_tiling(name, out));
  qsort(out->entry, out->count, sizeof *out->entry, by_name);
  return OK;
}

enum status safetensors_read(const char *name, const uint8_t *file, size_t bytes,
                             struct arena *arena, struct safetensors *out) {
  size_t length = 0;
  TRY(header_length(name, file, bytes, &length));
  struct safetensors table = {.data = file + 8 + length, .data_bytes = bytes - 8 - length};
  json_t *root = NULL;
  TRY(parse_header(name, file + 8, length, &root));
  enum status status = read_table(name, root, arena, &table);
  json_decref(root);
  TRY(status);
  *out = table;
  return OK;
}

const struct safetensors_entry *safetensors_find(const struct safetensors *table,
                                                 const char *name) {
  const struct safetensors_entry wanted = {.name = name};
  return bsearch(&wanted, table->entry, table->count, sizeof *table->entry, by_name);
}
