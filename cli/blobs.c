/* blobs.c - small files travel in the job, larger ones go into the store by their hash, so that the
 * same file is there once however often it is used. */
#include "cli/blobs.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/limits.h"
#include "cli/patience.h"
#include "cli/show.h"
#include "proto/blob.h"
#include "store/digest.h"

#define HASH_MARK "#sha256="
#define FIELD DARKROOM__V1__ERROR_CODE__ERROR_FIELD

typedef Darkroom__V1__Blob Blob;

void luggage_close(struct luggage *luggage) { store_close(&luggage->store); }

static bool is_file(const char *store) { return strncmp(store, "file:", 5) == 0; }
static bool is_url(const char *name) { return strstr(name, "://") != NULL; }

static bool ends_with(const char *name, const char *ending) {
  size_t bytes = strlen(name);
  size_t length = strlen(ending);
  return bytes > length && strcmp(name + bytes - length, ending) == 0;
}

bool names_a_file(const char *name) {
  static const char *const pickles[] = {".ckpt", ".pt", ".pth", ".bin"};
  bool file = strchr(name, '/') != NULL || ends_with(name, ".safetensors");
  for (size_t i = 0; i < sizeof pickles / sizeof pickles[0]; i++) {
    file = file || (ends_with(name, pickles[i]) && access(name, F_OK) == 0);
  }
  return file;
}

static enum status no_memory(struct refusal *why) {
  return refuse(why, FIELD, NULL, NULL, "no memory for the job's files");
}

/* A flag is its field's name behind two dashes. */
static const char *field_of(const struct naming *naming) { return naming->flag + 2; }

static Blob *new_blob(struct luggage *luggage) {
  Blob *blob = arena_take(luggage->arena, sizeof *blob);
  if (blob != NULL) {
    darkroom__v1__blob__init(blob);
  }
  return blob;
}

/* URLs ----------------------------------------------------------------------------------------- */

static enum status from_url(struct luggage *luggage, const char *url, Blob *blob,
                            struct refusal *why) {
  const char *mark = strstr(url, HASH_MARK);
  size_t bytes = mark != NULL ? (size_t)(mark - url) : strlen(url);
  blob->url = arena_copy_text(luggage->arena, url, bytes);
  blob->sha256 = mark != NULL ? (char *)mark + strlen(HASH_MARK) : NULL;
  return blob->url != NULL ? OK : no_memory(why);
}

/* files that travel in the job ----------------------------------------------------------------- */

static enum status keep_hash(struct luggage *luggage, const char *sha256, size_t bytes, Blob *blob,
                             struct refusal *why) {
  blob->sha256 = arena_copy_text(luggage->arena, sha256, strlen(sha256));
  blob->has_bytes = 1;
  blob->bytes = bytes;
  return blob->sha256 != NULL ? OK : no_memory(why);
}

static enum status read_inline(struct luggage *luggage, int fd, size_t bytes, Blob *blob,
                               struct refusal *why) {
  char sha256[SHA256_TEXT_MAX];
  uint8_t *data = arena_take(luggage->arena, bytes + 1);
  if (data == NULL) {
    return no_memory(why);
  }
  size_t got = 0;
  ssize_t piece = 1;
  while (piece > 0 && got < bytes) {
    piece = read(fd, data + got, bytes - got);
    got += piece > 0 ? (size_t)piece : 0;
  }
  if (got != bytes) {
    return fail(UNAVAILABLE, "it ends before its end");
  }
  TRY(digest_sha256_text(data, bytes, sha256));
  blob->has_inline_ = 1;
  blob->inline_ = (ProtobufCBinaryData){bytes, data};
  luggage->inline_bytes += bytes;
  return keep_hash(luggage, sha256, bytes, blob, why);
}

/* files for the store -------------------------------------------------------------------------- */

static enum status reach_store(struct luggage *luggage, const struct naming *naming,
                               struct refusal *why) {
  const struct options *options = luggage->options;
  if (luggage->store != NULL) {
    return OK;
  }
  if (options->store == NULL) {
    return refuse(why, FIELD, "store", "given, --store URL",
                  "%s: %.120s is too large to travel in the job; --store says where it goes",
                  naming->flag, naming->name);
  }
  struct store_settings settings = {
      .url = options->store,
      .s3 = {.addressing = (enum s3_addressing)options->s3_addressing, .proxy = options->s3_proxy}};
  enum status status = store_open(&settings, &luggage->store);
  return status == OK ? OK : refuse(why, FIELD, "store", NULL, "%.180s", fail_reason());
}

static void make_key(const Blob *blob, char key[STORE_KEY_BYTES_MAX]) {
  snprintf(key, STORE_KEY_BYTES_MAX, "inputs/%s", blob->sha256);
}

static enum status locate(struct luggage *luggage, Blob *blob, struct refusal *why) {
  char key[STORE_KEY_BYTES_MAX];
  struct bytes url;
  make_key(blob, key);
  bytes_open(&url, BLOB_URL_BYTES_MAX);
  enum status status = store_locate(luggage->store, key, &url);
  if (status == OK) {
    blob->url = arena_copy_text(luggage->arena, bytes_text(&url), url.length);
    status = blob->url != NULL ? OK : no_memory(why);
  } else {
    status = refuse(why, FIELD, "store", "shorter: a file's URL has at most 1024 bytes", "%.180s",
                    fail_reason());
  }
  bytes_close(&url);
  return status;
}
_Static_assert(BLOB_URL_BYTES_MAX == 1024, "the limit's text says so");

static enum status note_parcel(struct luggage *luggage, const struct naming *naming, size_t bytes,
                               Blob *blob, struct refusal *why) {
  char sha256[SHA256_TEXT_MAX];
  TRY(reach_store(luggage, naming, why));
  TRY(digest_sha256_file(naming->name, sha256));
  TRY(keep_hash(luggage, sha256, bytes, blob, why));
  TRY(locate(luggage, blob, why));
  struct parcel *parcel = arena_take(luggage->arena, sizeof *parcel);
  char *path = arena_copy_text(luggage->arena, naming->name, strlen(naming->name));
  if (parcel == NULL || path == NULL) {
    return no_memory(why);
  }
  *parcel = (struct parcel){luggage->parcels, naming->flag, path, blob};
  luggage->parcels = parcel;
  return OK;
}

/* any file ------------------------------------------------------------------------------------- */

/* Its size, once it is known to be a file of this kind. */
static enum status look(const struct naming *naming, int fd, size_t *out, struct refusal *why) {
  struct stat found;
  uint8_t begin[BLOB_LOOK_BYTES];
  if (fstat(fd, &found) != 0 || !S_ISREG(found.st_mode)) {
    return refuse(why, FIELD, field_of(naming), "a plain file", "%s: %.120s is no plain file",
                  naming->flag, naming->name);
  }
  if (found.st_size == 0 || (uint64_t)found.st_size > naming->bytes_max) {
    char limit[48];
    snprintf(limit, sizeof limit, "1..%zu bytes", naming->bytes_max);
    return refuse(why, FIELD, field_of(naming), limit, "%s: %.120s has %lld bytes", naming->flag,
                  naming->name, (long long)found.st_size);
  }
  ssize_t got = pread(fd, begin, sizeof begin, 0);
  if (got < 0) {
    return fail(UNAVAILABLE, "%s", strerror(errno));
  }
  const char *unlike = blob_unlike(naming->kind, begin, (size_t)got);
  *out = (size_t)found.st_size;
  return unlike == NULL ? OK
                        : refuse(why, FIELD, field_of(naming), NULL, "%s: %.120s %s", naming->flag,
                                 naming->name, unlike);
}

static enum status from_opened(struct luggage *luggage, const struct naming *naming, int fd,
                               Blob *blob, struct refusal *why) {
  size_t bytes = 0;
  TRY(look(naming, fd, &bytes, why));
  return luggage->inline_bytes + bytes <= JOB_INLINE_BYTES_MAX
             ? read_inline(luggage, fd, bytes, blob, why)
             : note_parcel(luggage, naming, bytes, blob, why);
}

/* Without waiting: nobody need ever write into a pipe. */
static enum status from_file(struct luggage *luggage, const struct naming *naming, Blob *blob,
                             struct refusal *why) {
  int fd = open(naming->name, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
  if (fd < 0) {
    return refuse(why, FIELD, field_of(naming), "a file that can be read", "%s: %.120s: %s",
                  naming->flag, naming->name, strerror(errno));
  }
  enum status status = from_opened(luggage, naming, fd, blob, why);
  close(fd);
  return status == OK || status == BAD_INPUT
             ? status
             : refuse(why, FIELD, field_of(naming), "a file that can be read", "%s: %.100s: %.60s",
                      naming->flag, naming->name, fail_reason());
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

/* sending -------------------------------------------------------------------------------------- */

/* One that is away is waited for, and a file store is never away. */
static enum status put_patiently(struct luggage *luggage, const struct store_object *object) {
  struct patience patience;
  enum status status;
  int64_t wished_ms = 0;
  patience_begin(luggage->options, &patience);
  do {
    status = store_put(luggage->store, object);
    wished_ms = status == UNAVAILABLE ? store_retry_after_ms(luggage->store) : 0;
  } while (status == UNAVAILABLE && !is_file(luggage->options->store) &&
           patience_waits(&patience, wished_ms));
  return status;
}

static enum exit_code not_put(const struct luggage *luggage, const struct parcel *parcel,
                              enum status status) {
  char why[SHOW_SAFE_BYTES_MAX];
  fprintf(stderr, "darkroom: %s: %s cannot be put into %s: %s\n", parcel->flag, parcel->path,
          luggage->options->store, show_safe(fail_reason(), why));
  return is_file(luggage->options->store) ? EXIT_CODE_CANNOT_WRITE
         : status == UNAVAILABLE          ? EXIT_CODE_IO
                                          : EXIT_CODE_NOT_PERMITTED;
}

/* What its hash and the job say of it is what is sent. */
static enum status read_again(const struct parcel *parcel, struct bytes *content) {
  char sha256[SHA256_TEXT_MAX];
  TRY(bytes_read_file(content, parcel->path));
  TRY(digest_sha256_text(bytes_text(content), content->length, sha256));
  return strcmp(sha256, parcel->blob->sha256) == 0 ? OK : fail(BAD_INPUT, "it has changed");
}

static enum exit_code send_one(struct luggage *luggage, const struct parcel *parcel) {
  char key[STORE_KEY_BYTES_MAX];
  struct bytes content;
  bytes_open(&content, parcel->blob->bytes);
  enum exit_code code = EXIT_CODE_OK;
  if (read_again(parcel, &content) != OK) {
    fprintf(stderr, "darkroom: %s: %s is not what it was a moment ago: %s\n", parcel->flag,
            parcel->path, fail_reason());
    code = EXIT_CODE_USAGE;
  } else {
    make_key(parcel->blob, key);
    struct store_object object = {key, "application/octet-stream", content.data, content.length};
    enum status status = put_patiently(luggage, &object);
    code = status == OK ? EXIT_CODE_OK : not_put(luggage, parcel, status);
  }
  bytes_close(&content);
  return code;
}

/* The same content again is the same object. */
static bool sent_already(const struct luggage *luggage, const struct parcel *parcel) {
  const struct parcel *at = luggage->parcels;
  while (at != parcel && strcmp(at->blob->sha256, parcel->blob->sha256) != 0) {
    at = at->next;
  }
  return at != parcel;
}

enum exit_code luggage_send(struct luggage *luggage) {
  enum exit_code code = EXIT_CODE_OK;
  for (const struct parcel *at = luggage->parcels; code == EXIT_CODE_OK && at != NULL;
       at = at->next) {
    code = sent_already(luggage, at) ? EXIT_CODE_OK : send_one(luggage, at);
  }
  return code;
}
