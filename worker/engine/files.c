/* files.c - names, hashes, bytes. */
#include "worker/engine/files.h"

#include <openssl/evp.h>
#include <stdio.h>
#include <string.h>

#include "worker/engine/inputs.h"

#define TABLE_BYTES_MAX ((size_t)64 * 1024 * 1024) /* of a file's list of tensors */
enum { DIGEST_BYTES = 32, PATH_BYTES_MAX = 1280 };

static const char *field_of(enum input_kind kind) {
  return kind == INPUT_ADAPTER ? "adapter" : "embedding";
}

/* ---- which ---- */

static enum status find_extra(const struct extras *extras, const struct file_wish *wish,
                              struct job_file *out) {
  enum extra_kind kind = wish->kind == INPUT_ADAPTER ? EXTRA_LORA : EXTRA_EMBEDDING;
  for (size_t i = 0; i < extras->count; i++) {
    if (extras->row[i].kind == kind && strcmp(extras->row[i].id, wish->name) == 0) {
      out->extra = &extras->row[i];
      out->name = extras->row[i].id;
      snprintf(out->key, sizeof out->key, "name:%s", out->name);
      return OK;
    }
  }
  return fail_field(BAD_INPUT, field_of(wish->kind), "there is no %s %.64s on this device",
                    field_of(wish->kind), wish->name);
}

static enum status hash(const struct job_file *file, char *out, size_t bytes) {
  unsigned char digest[DIGEST_BYTES];
  if (EVP_Digest(file->data, file->bytes, digest, NULL, EVP_sha256(), NULL) != 1) {
    return fail(EXHAUSTED, "SHA-256 is not to be had");
  }
  size_t at = (size_t)snprintf(out, bytes, "sha256:");
  for (int i = 0; i < DIGEST_BYTES; i++) {
    at += (size_t)snprintf(out + at, bytes - at, "%02x", digest[i]);
  }
  return OK;
}

static enum status find_input(const struct engine_inputs *inputs, const struct file_wish *wish,
                              struct job_file *out) {
  const struct engine_input *input = inputs_find(inputs, wish->kind, wish->index);
  if (input == NULL) {
    return fail_field(BAD_INPUT, field_of(wish->kind), "%s %u did not come with the job",
                      field_of(wish->kind), wish->index);
  }
  out->name = "of the job";
  out->data = input->data;
  out->bytes = input->bytes;
  return hash(out, out->key, sizeof out->key);
}

enum status job_file_find(const struct extras *extras, const struct engine_inputs *inputs,
                          const struct file_wish *wish, struct job_file *out) {
  struct job_file file = {0};
  TRY(wish->name != NULL ? find_extra(extras, wish, &file) : find_input(inputs, wish, &file));
  *out = file;
  return OK;
}

/* ---- its bytes ---- */

static enum status map(struct job_file *file) {
  const struct model_source *source = &file->extra->source;
  char path[PATH_BYTES_MAX];
  const char *name = source->file != NULL ? source->file : "";
  if (snprintf(path, sizeof path, "%s/%s", source->folder, name) >= (int)sizeof path) {
    return fail_field(BAD_INPUT, "weights", "path too long: %.200s", source->folder);
  }
  TRY(arena_open(NULL, TABLE_BYTES_MAX, &file->memory));
  const char *sha256 = source->hash_count > 0 ? source->hashes[0].sha256 : NULL;
  TRY(mapped_open(path, sha256, file->memory, &file->mapped));
  file->data = file->mapped.bytes;
  file->bytes = file->mapped.size;
  return OK;
}

enum status job_file_read(struct job_file *file) { return file->data != NULL ? OK : map(file); }

void job_file_close(struct job_file *file) {
  if (file->mapped.bytes != NULL) {
    mapped_close(&file->mapped);
  }
  arena_close(&file->memory);
  *file = (struct job_file){0};
}
