/* blobs.c - small files travel in the job, larger ones go into the store by their hash, so that the
 * same file is there once however often it is used. */
#include "cli/blobs.h"

#include <stdio.h>
#include <string.h>

#include "base/bytes.h"
#include "base/limits.h"
#include "store/digest.h"

#define HASH_MARK "#sha256="
#define ENDING ".safetensors"
#define FIELD DARKROOM__V1__ERROR_CODE__ERROR_FIELD

typedef Darkroom__V1__Blob Blob;

void luggage_close(struct luggage *luggage) { store_close(&luggage->store); }

static bool is_url(const char *name) { return strstr(name, "://") != NULL; }

bool names_a_file(const char *name) {
  size_t bytes = strlen(name);
  size_t ending = strlen(ENDING);
  return strchr(name, '/') != NULL ||
         (bytes > ending && strcmp(name + bytes - ending, ENDING) == 0);
}

static enum status no_memory(struct refusal *why) {
  return refuse(why, FIELD, NULL, NULL, "no memory for the job's files");
}

static Blob *new_blob(struct luggage *luggage) {
  Blob *blob = arena_take(luggage->arena, sizeof *blob);
  if (blob != NULL) {
    darkroom__v1__blob__init(blob);
  }
  return blob;
}

static enum status from_url(struct luggage *luggage, const char *url, Blob *blob,
                            struct refusal *why) {
  const char *mark = strstr(url, HASH_MARK);
  size_t bytes = mark != NULL ? (size_t)(mark - url) : strlen(url);
  blob->url = arena_copy_text(luggage->arena, url, bytes);
  blob->sha256 = mark != NULL ? (char *)mark + strlen(HASH_MARK) : NULL;
  return blob->url != NULL ? OK : no_memory(why);
}

static enum status reach_store(struct luggage *luggage, const char *flag, struct refusal *why) {
  const struct options *options = luggage->options;
  if (luggage->store != NULL) {
    return OK;
  }
  if (options->store == NULL) {
    return refuse(why, FIELD, "store", "--store URL",
                  "%s: it is too large to travel in the job; --store says where it goes", flag);
  }
  struct store_settings settings = {
      .url = options->store,
      .s3 = {.addressing = (enum s3_addressing)options->s3_addressing, .proxy = options->s3_proxy}};
  enum status status = store_open(&settings, &luggage->store);
  return status == OK ? OK : refuse(why, FIELD, "store", NULL, "%.180s", fail_reason());
}

/* The same content again is the same object: who is interrupted only repeats himself. */
static enum status put(struct luggage *luggage, const struct bytes *content, Blob *blob,
                       struct refusal *why) {
  char key[STORE_KEY_BYTES_MAX];
  struct bytes url;
  snprintf(key, sizeof key, "inputs/%s", blob->sha256);
  struct store_object object = {key, "application/octet-stream", content->data, content->length};
  bytes_open(&url, BLOB_URL_BYTES_MAX);
  enum status status = store_put(luggage->store, &object);
  status = status == OK ? store_locate(luggage->store, key, &url) : status;
  if (status == OK) {
    blob->url = arena_copy_text(luggage->arena, bytes_text(&url), url.length);
    status = blob->url != NULL ? OK : no_memory(why);
  } else {
    (void)refuse(why, DARKROOM__V1__ERROR_CODE__ERROR_STORE, "store", NULL,
                 "a file cannot be put into the store: %.140s", fail_reason());
  }
  bytes_close(&url);
  return status;
}

static enum status from_content(struct luggage *luggage, const char *flag,
                                const struct bytes *content, Blob *blob, struct refusal *why) {
  char sha256[SHA256_TEXT_MAX];
  TRY(digest_sha256_text(bytes_text(content), content->length, sha256));
  blob->sha256 = arena_copy_text(luggage->arena, sha256, strlen(sha256));
  blob->has_bytes = 1;
  blob->bytes = content->length;
  if (blob->sha256 == NULL) {
    return no_memory(why);
  }
  if (luggage->inline_bytes + content->length > JOB_INLINE_BYTES_MAX) {
    TRY(reach_store(luggage, flag, why));
    return put(luggage, content, blob, why);
  }
  blob->inline_.data = arena_take(luggage->arena, content->length + 1);
  if (blob->inline_.data == NULL) {
    return no_memory(why);
  }
  memcpy(blob->inline_.data, bytes_text(content), content->length);
  blob->has_inline_ = 1;
  blob->inline_.len = content->length;
  luggage->inline_bytes += content->length;
  return OK;
}

static enum status from_file(struct luggage *luggage, const struct naming *naming, Blob *blob,
                             struct refusal *why) {
  struct bytes content;
  bytes_open(&content, naming->bytes_max);
  enum status status = bytes_read_file(&content, naming->name);
  if (status != OK) {
    status = refuse(why, FIELD, naming->flag, NULL, "%s: %.150s", naming->flag, fail_reason());
  } else if (content.length == 0) {
    status =
        refuse(why, FIELD, naming->flag, NULL, "%s: %.120s is empty", naming->flag, naming->name);
  } else {
    status = from_content(luggage, naming->flag, &content, blob, why);
  }
  bytes_close(&content);
  return status;
}

enum status blob_make(struct luggage *luggage, const struct naming *naming, Blob **out,
                      struct refusal *why) {
  Blob *blob = new_blob(luggage);
  if (blob == NULL) {
    return no_memory(why);
  }
  TRY(is_url(naming->name) ? from_url(luggage, naming->name, blob, why)
                           : from_file(luggage, naming, blob, why));
  *out = blob;
  return OK;
}
