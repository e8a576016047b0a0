/* reader.c - a row per scheme. */
#include "store/reader.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "store/https.h"
#include "store/url.h"

void reader_open(const struct s3_settings *settings, const struct places *places,
                 struct reader *out) {
  *out = (struct reader){.s3 = *settings, .places = places};
}

void reader_close(struct reader *reader) {
  s3_close(&reader->client);
  https_close(reader);
}

/* file: --------------------------------------------------------------------------------------- */

/* What was opened says itself where it lies: a link that is changed meanwhile changes nothing. */
static enum status check_place(const struct reader *reader, int fd) {
  char name[64];
  char real[PATH_MAX];
  if (reader->places == NULL) {
    return OK;
  }
  snprintf(name, sizeof name, "/proc/self/fd/%d", fd);
  ssize_t length = readlink(name, real, sizeof real - 1);
  if (length < 0) {
    return fail(UNAVAILABLE, "where a file lies cannot be told: %s", strerror(errno));
  }
  real[length] = '\0';
  return places_check_path(reader->places, reader->tenant, real);
}

static enum status read_all(int fd, struct bytes *content, struct read_result *how) {
  enum { PIECE_BYTES = 1 << 18 };
  for (;;) {
    uint8_t *room = NULL;
    size_t left = content->max - content->length;
    size_t piece = left < PIECE_BYTES ? left : PIECE_BYTES;
    uint8_t beyond = 0;
    TRY(bytes_reserve(content, piece, &room));
    ssize_t got = read(fd, piece > 0 ? room : &beyond, piece > 0 ? piece : 1);
    if (got < 0 && errno != EINTR) {
      return fail(UNAVAILABLE, "the file cannot be read: %s", strerror(errno));
    }
    if (got == 0) {
      return OK;
    }
    if (got > 0 && piece == 0) {
      how->too_large = true;
      return fail(EXHAUSTED, "it has more than %zu bytes", content->max);
    }
    content->length += got > 0 ? (size_t)got : 0;
  }
}

static enum status read_opened(const struct reader *reader, int fd, struct bytes *content,
                               struct read_result *how) {
  struct stat found;
  TRY(check_place(reader, fd));
  if (fstat(fd, &found) != 0 || !S_ISREG(found.st_mode)) {
    return fail(BAD_INPUT, "not a file");
  }
  if ((uint64_t)found.st_size > content->max - content->length) {
    how->too_large = true;
    return fail(EXHAUSTED, "it has %lld bytes, and may have %zu", (long long)found.st_size,
                content->max);
  }
  return read_all(fd, content, how);
}

static bool not_there(int error) {
  return error == ENOENT || error == ENOTDIR || error == ELOOP || error == ENAMETOOLONG ||
         error == EISDIR || error == ENXIO;
}

/* Without waiting: a pipe that nobody writes into must not hold a thread. */
static enum status read_file(struct reader *reader, const char *url, struct bytes *content,
                             struct read_result *how) {
  char path[PATH_MAX];
  TRY(url_path(url, path));
  int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
  if (fd < 0) {
    int error = errno;
    return fail(not_there(error)  ? BAD_INPUT
                : error == EACCES ? EXHAUSTED
                                  : UNAVAILABLE,
                "the file cannot be opened: %s", strerror(error));
  }
  enum status status = read_opened(reader, fd, content, how);
  close(fd);
  return status;
}

/* s3: ----------------------------------------------------------------------------------------- */

/* A client of the bucket: the one at hand, or a new one in its place. */
static enum status reach_bucket(struct reader *reader, const char *bucket) {
  if (reader->client != NULL && strcmp(reader->bucket, bucket) == 0) {
    return OK;
  }
  s3_close(&reader->client);
  char url[sizeof "s3://" + S3_BUCKET_BYTES_MAX];
  snprintf(url, sizeof url, "s3://%s", bucket);
  snprintf(reader->bucket, sizeof reader->bucket, "%s", bucket);
  return s3_open(url, &reader->s3, &reader->client);
}

static enum status read_s3(struct reader *reader, const char *url, struct bytes *content,
                           struct read_result *how) {
  char bucket[S3_BUCKET_BYTES_MAX + 1];
  struct s3_exchange get = {.operation = "get", .method = "GET", .body = content};
  if (s3_url_split(url, bucket, &get.key) != OK || get.key[0] == '\0') {
    return fail(BAD_INPUT, "not the URL of an object: s3://BUCKET/KEY");
  }
  TRY(reach_bucket(reader, bucket));
  enum status status = s3_request(reader->client, &get);
  how->http = get.code;
  how->words = get.words;
  how->retry_after_ms = get.retry_after_ms;
  how->too_large = status == EXHAUSTED && get.code == 0;
  snprintf(how->request_id, sizeof how->request_id, "%s", get.request_id);
  return status;
}

/* the rows ------------------------------------------------------------------------------------ */

static const struct scheme {
  const char *prefix;
  enum status (*read)(struct reader *reader, const char *url, struct bytes *content,
                      struct read_result *how);
} schemes[] = {{"file:", read_file}, {"s3:", read_s3}, {"https:", https_read}};

enum status reader_check(const struct reader *reader, const char *url) {
  return reader->places == NULL ? OK : places_check(reader->places, reader->tenant, url);
}

enum status reader_read(struct reader *reader, const char *url, struct bytes *content,
                        struct read_result *how) {
  *how = (struct read_result){0};
  TRY(reader_check(reader, url));
  for (size_t i = 0; i < sizeof schemes / sizeof schemes[0]; i++) {
    if (strncmp(url, schemes[i].prefix, strlen(schemes[i].prefix)) == 0) {
      return schemes[i].read(reader, url, content, how);
    }
  }
  return fail(BAD_INPUT, "only file:, s3: and https: are read");
}
