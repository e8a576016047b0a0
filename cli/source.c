/* source.c - a store is asked patiently; what goes wrong becomes an exit code and a reason. */
#include "cli/source.h"

#include <stdio.h>
#include <string.h>

enum { CONNECT_MS = 5000 };

void source_open(const struct options *options, struct source *source) {
  struct s3_settings settings = {
      .addressing = (enum s3_addressing)options->s3_addressing,
      .proxy = options->s3_proxy,
      .connect_ms = options->patience_ms < CONNECT_MS ? options->patience_ms : CONNECT_MS,
  };
  *source = (struct source){0};
  patience_begin(options, &source->patience);
  reader_open(&settings, NULL, &source->reader);
}

void source_close(struct source *source) { reader_close(&source->reader); }

/* Once patience is over, a further image of the job is still asked for, but not waited for. */
static enum status ask_patiently(struct source *source, const char *url, struct bytes *content,
                                 struct read_result *how) {
  enum status status;
  patience_ask(&source->patience);
  do {
    bytes_clear(content);
    status = reader_read(&source->reader, url, content, how);
    if (status != UNAVAILABLE || strncmp(url, "file:", 5) == 0) {
      patience_heard(&source->patience);
      return status;
    }
  } while (patience_waits(&source->patience, 0));
  return status;
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

static enum exit_code refused(const struct read_result *how) {
  const struct meaning *meaning = meanings;
  while (meaning->http != 0 && meaning->http != how->http) {
    meaning++;
  }
  const char *message = how->words.message;
  fail_record(NULL, "%s: HTTP %ld %s%s%s%s%s", meaning->text, how->http, how->words.code,
              message[0] != '\0' ? ": " : "", message,
              how->request_id[0] != '\0' ? ", request " : "", how->request_id);
  return meaning->code;
}

static bool is_s3(const char *url) { return strncmp(url, "s3:", 3) == 0; }

/* Settings that no client can be made of are not permitted, before anybody is asked. */
static enum exit_code not_asked(const char *url) {
  return is_s3(url) && fail_field_name() != NULL && strcmp(fail_field_name(), "store") == 0
             ? EXIT_CODE_NOT_PERMITTED
             : EXIT_CODE_NOT_FETCHED;
}

enum exit_code source_read(struct source *source, const char *url, struct bytes *content) {
  struct read_result how = {0};
  if (!is_s3(url) && strncmp(url, "file:", 5) != 0) { /* no worker of ours stores elsewhere */
    fail_record(NULL, "this client reads only file: and s3: stores");
    return EXIT_CODE_NOT_FETCHED;
  }
  enum status status = ask_patiently(source, url, content, &how);
  if (status == OK) {
    return EXIT_CODE_OK;
  }
  if (status == UNAVAILABLE && !is_s3(url)) {
    return EXIT_CODE_NOT_FETCHED;
  }
  if (status == UNAVAILABLE) {
    fail_record(NULL, "the store is away: %s", fail_reason());
    return EXIT_CODE_IO;
  }
  return how.http != 0 ? refused(&how) : not_asked(url);
}
