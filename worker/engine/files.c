/* files.c - names, hashes, bytes. */
#include "worker/engine/files.h"

#include <openssl/evp.h>
#include <stdio.h>
#include <string.h>

#include "base/text.h"
#include "worker/engine/inputs.h"

#define TABLE_BYTES_MAX ((size_t)64 * 1024 * 1024) /* of a file's list of tensors */
#define PATH_BYTES_MAX 1280

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

static enum status hash(struct job_file *file) {
  if (EVP_Digest(file->data, file->bytes, file->sha256, NULL, EVP_sha256(), NULL) != 1) {
    return fail(EXHAUSTED, "SHA-256 is not to be had");
  }
  file->hashed = true;
  return OK;
}

/* By its content. */
static void name_it(struct job_file *file) {
  static const char prefix[] = "sha256:";
  memcpy(file->key, prefix, sizeof prefix);
  text_hex(file->sha256, sizeof file->sha256, file->key + sizeof prefix - 1);
}
_Static_assert(FILE_KEY_BYTES_MAX > 7 + 2 * FILE_DIGEST_BYTES, "a key has room for a sha256");

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
  const char *said = wish->blob != NULL ? wish->blob->sha256 : NULL;
  out->hashed = text_bytes(said, out->sha256, sizeof out->sha256);
  TRY(out->hashed ? OK : hash(out));
  name_it(out);
  return OK;
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
  file->hashed = text_bytes(sha256, file->sha256, sizeof file->sha256);
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
