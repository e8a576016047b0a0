/* source.c - file: and s3: URLs become bytes; what goes wrong becomes an exit code and a reason. */
#include "cli/source.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "cli/show.h"

#define FILE_SCHEME "file://"
enum { CONNECT_MS = 5000, PAUSE_MS = 250, PAUSE_MS_MAX = 4000 };

void source_open(const struct options *options, struct source *source) {
  *source = (struct source){.options = options, .heard_ms = clock_ms()};
}

void source_close(struct source *source) { s3_close(&source->s3); }

/* file: --------------------------------------------------------------------------------------- */

static int hex_digit(char c) {
  const char *digits = "0123456789abcdef";
  const char *at = c != '\0' ? strchr(digits, c | 0x20) : NULL;
  return at != NULL ? (int)(at - digits) : -1;
}

/* file:///a%20b or file://localhost/a */
enum status source_path(const char *url, char *path) {
  const char *at = url != NULL && strncmp(url, FILE_SCHEME, strlen(FILE_SCHEME)) == 0
                       ? url + strlen(FILE_SCHEME)
                       : "";
  at += strncmp(at, "localhost/", 10) == 0 ? strlen("localhost") : 0;
  size_t length = 0;
  while (at[0] != '\0' && length < PATH_MAX - 1) {
    bool escaped = at[0] == '%' && hex_digit(at[1]) >= 0 && hex_digit(at[2]) >= 0;
    path[length++] = escaped ? (char)(hex_digit(at[1]) * 16 + hex_digit(at[2])) : at[0];
    at += escaped ? 3 : 1;
  }
  path[length] = '\0';
  return path[0] == '/' && at[0] == '\0' ? OK : fail(BAD_INPUT, "not the URL of a local file");
}

static enum exit_code read_file(struct source *source, const char *url, struct bytes *content) {
  (void)source;
  char path[PATH_MAX];
  enum status status = source_path(url, path);
  status = status == OK ? bytes_read_file(content, path) : status;
  return status == OK ? EXIT_CODE_OK : EXIT_CODE_NOT_FETCHED;
}

/* s3: ----------------------------------------------------------------------------------------- */

/* A client of the bucket: the one at hand, or a new one in its place. */
static enum status reach_bucket(struct source *source, const char *bucket) {
  if (source->s3 != NULL && strcmp(source->bucket, bucket) == 0) {
    return OK;
  }
  s3_close(&source->s3);
  const struct options *options = source->options;
  struct s3_settings settings = {
      .addressing = (enum s3_addressing)options->s3_addressing,
      .proxy = options->s3_proxy,
      .connect_ms = options->patience_ms < CONNECT_MS ? options->patience_ms : CONNECT_MS,
  };
  char url[sizeof "s3://" + S3_BUCKET_BYTES_MAX];
  snprintf(url, sizeof url, "s3://%s", bucket);
  snprintf(source->bucket, sizeof source->bucket, "%s", bucket);
  return s3_open(url, &settings, &source->s3);
}

static void say_waiting(struct source *source) {
  char why[SHOW_SAFE_BYTES_MAX];
  if (!source->said && !source->options->quiet) {
    fprintf(stderr, "darkroom: the store is away, asking again (%s)\n",
            show_safe(fail_reason(), why));
  }
  source->said = true;
}

/* Once patience is over, a further image of the job is still asked for, but not waited for. */
static enum status ask_patiently(struct source *source, struct s3_exchange *get) {
  int64_t pause_ms = PAUSE_MS;
  for (;;) {
    bytes_clear(get->body);
    enum status status = s3_request(source->s3, get);
    int64_t now = clock_ms();
    if (status != UNAVAILABLE) {
      source->heard_ms = now;
      return status;
    }
    if (now + pause_ms - source->heard_ms > source->options->patience_ms) {
      return status;
    }
    say_waiting(source);
    clock_sleep_ms(pause_ms);
    pause_ms = pause_ms * 2 < PAUSE_MS_MAX ? pause_ms * 2 : PAUSE_MS_MAX;
  }
}

/* What a refusal means to who asked for a picture; the last row is for all others. */
static const struct meaning {
  long http;
  enum exit_code code;
  const char *text;
} meanings[] = {
    {404, EXIT_CODE_NOT_FETCHED, "the store does not have it"},
    {410, EXIT_CODE_NOT_FETCHED, "the store does not have it any more"},
    {401, EXIT_CODE_NOT_PERMITTED, "the store does not take these credentials"},
    /* a store hides what is missing from who may not list */
    {403, EXIT_CODE_NOT_PERMITTED, "the store does not let these credentials read it"},
    {0, EXIT_CODE_NOT_PERMITTED, "the store refuses the request"},
};

static enum exit_code refused(const struct s3_exchange *get) {
  const struct meaning *meaning = meanings;
  while (meaning->http != 0 && meaning->http != get->code) {
    meaning++;
  }
  const char *message = get->words.message;
  fail_record(NULL, "%s: HTTP %ld %s%s%s%s%s", meaning->text, get->code, get->words.code,
              message[0] != '\0' ? ": " : "", message,
              get->request_id[0] != '\0' ? ", request " : "", get->request_id);
  return meaning->code;
}

static enum exit_code read_s3(struct source *source, const char *url, struct bytes *content) {
  char bucket[S3_BUCKET_BYTES_MAX + 1];
  struct s3_exchange get = {.operation = "get", .method = "GET", .body = content};
  if (s3_url_split(url, bucket, &get.key) != OK || get.key[0] == '\0') {
    fail_record(NULL, "not the URL of an object: s3://BUCKET/KEY");
    return EXIT_CODE_NOT_FETCHED;
  }
  if (reach_bucket(source, bucket) != OK) {
    return EXIT_CODE_NOT_PERMITTED; /* its settings do, before it is asked */
  }
  enum status status = ask_patiently(source, &get);
  if (status == UNAVAILABLE) {
    fail_record(NULL, "the store is away: %s", fail_reason());
    return EXIT_CODE_IO;
  }
  if (status != OK) {
    return get.code != 0 ? refused(&get) : EXIT_CODE_NOT_FETCHED;
  }
  return EXIT_CODE_OK;
}

/* the rows ------------------------------------------------------------------------------------ */

static const struct scheme {
  const char *prefix;
  enum exit_code (*read)(struct source *source, const char *url, struct bytes *content);
} schemes[] = {{"file:", read_file}, {"s3:", read_s3}};

enum exit_code source_read(struct source *source, const char *url, struct bytes *content) {
  for (size_t i = 0; i < sizeof schemes / sizeof schemes[0]; i++) {
    if (strncmp(url, schemes[i].prefix, strlen(schemes[i].prefix)) == 0) {
      return schemes[i].read(source, url, content);
    }
  }
  fail_record(NULL, "this client reads only file: and s3: stores");
  return EXIT_CODE_NOT_FETCHED;
}
