/* adapter_files.h - safetensors files made in memory, and those of models/fixtures.py. */
#ifndef DARKROOM_TESTS_UNIT_MODEL_ADAPTER_FILES_H
#define DARKROOM_TESTS_UNIT_MODEL_ADAPTER_FILES_H

#include "tests/unit/model/tiny.h"
#include "worker/model/adapter_change.h"

#define MADE_BYTES_MAX ((size_t)4 * 1024 * 1024)

/* A file in the making: names and shapes, data behind. */
struct made {
  struct bytes header, data, file;
};

static inline void made_open(struct made *made) {
  bytes_open(&made->header, MADE_BYTES_MAX);
  bytes_open(&made->data, MADE_BYTES_MAX);
  bytes_open(&made->file, 2 * MADE_BYTES_MAX);
}
static inline void made_close(struct made *made) {
  bytes_close(&made->header);
  bytes_close(&made->data);
  bytes_close(&made->file);
}

/* What value i of a tensor of that name is: between -1 and 1. */
static inline float made_value(const char *name, int64_t i) {
  uint32_t hash = 2166136261u + (uint32_t)i * 2654435761u;
  for (; *name != '\0'; name++) {
    hash = (hash ^ (uint8_t)*name) * 16777619u;
  }
  hash = (hash ^ hash >> 15) * 2246822519u;
  return (float)((hash ^ hash >> 13) >> 8) / 8388608.0f - 1;
}

/* One tensor of f32: its values given, or NULL for made_value's. */
static inline void made_add_values(struct made *made, const char *name, int rank,
                                   const int64_t *shape, const float *values) {
  size_t begin = made->data.length;
  int64_t count = 1;
  assert_ok(bytes_printf(&made->header, "%s\"%s\":{\"dtype\":\"F32\",\"shape\":[",
                         made->header.length > 0 ? "," : "", name));
  for (int i = 0; i < rank; i++) {
    assert_ok(bytes_printf(&made->header, i > 0 ? ",%lld" : "%lld", (long long)shape[i]));
    count *= shape[i];
  }
  for (int64_t i = 0; i < count; i++) {
    float value = values != NULL ? values[i] : made_value(name, i);
    assert_ok(bytes_append(&made->data, &value, sizeof value));
  }
  assert_ok(bytes_printf(&made->header, "],\"data_offsets\":[%zu,%zu]}", begin, made->data.length));
}
static inline void made_add(struct made *made, const char *name, int rank, const int64_t *shape) {
  made_add_values(made, name, rank, shape, NULL);
}
static inline void made_add_number(struct made *made, const char *name, float value) {
  made_add_values(made, name, 0, NULL, &value);
}

/* The file as it is now; metadata is JSON or NULL. */
static inline struct adapter_source made_source(struct made *made, const char *metadata) {
  struct bytes header;
  bytes_open(&header, MADE_BYTES_MAX);
  bool both = metadata != NULL && made->header.length > 0;
  assert_ok(bytes_printf(&header, "{%s%s%s%s}", metadata != NULL ? "\"__metadata__\":" : "",
                         metadata != NULL ? metadata : "", both ? "," : "",
                         bytes_text(&made->header)));
  uint8_t length[8] = {(uint8_t)header.length, (uint8_t)(header.length >> 8),
                       (uint8_t)(header.length >> 16)};
  bytes_clear(&made->file);
  assert_ok(bytes_append(&made->file, length, sizeof length));
  assert_ok(bytes_append(&made->file, header.data, header.length));
  assert_ok(bytes_append(&made->file, made->data.data, made->data.length));
  bytes_close(&header);
  return (struct adapter_source){
      .name = "made", .data = made->file.data, .bytes = made->file.length};
}

/* A file of models/fixtures.py, "lora/kohya". */
static inline struct adapter_source fixture_source(struct bytes *content, const char *name) {
  char path[256];
  tiny_folder("lora"); /* makes all of them */
  snprintf(path, sizeof path, TINY_FIXTURES "/%s.safetensors", name);
  bytes_open(content, MADE_BYTES_MAX);
  assert_ok(bytes_read_file(content, path));
  return (struct adapter_source){.name = name, .data = content->data, .bytes = content->length};
}

/* The fixture's adapter on a model. */
static inline struct adapter *fixture_adapter(const struct model *model, const char *name,
                                              struct adapter_report *report) {
  struct bytes content;
  struct adapter *adapter = NULL;
  struct adapter_source source = fixture_source(&content, name);
  assert_ok(adapter_open(model, &source, &adapter, report));
  bytes_close(&content);
  return adapter;
}

#endif
