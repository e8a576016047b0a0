/* reader.h - what is at a URL, whoever put it there: file:, s3: and https:.
 *
 * A reader belongs to one thread and makes one attempt a call. Where URLs come from strangers (a
 * job's), places.h says first which may be read.
 */
#ifndef DARKROOM_STORE_READER_H
#define DARKROOM_STORE_READER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/status.h"
#include "s3/s3.h"
#include "store/places.h"

struct reader {
  struct s3_settings s3;       /* of all requests, https: ones too */
  const struct places *places; /* NULL: anywhere (a person's own URLs) */
  const char *tenant;          /* whose URLs are read now, for places; the caller's */
  struct s3 *client;           /* of the bucket asked last */
  char bucket[S3_BUCKET_BYTES_MAX + 1];
  void *https; /* libcurl's handle, once there is one: it keeps connections */
};

/* How it went, for who must say more than the outcome. */
struct read_result {
  long http; /* status of the answer; 0: none, or not asked over HTTP */
  struct s3_words words;
  char request_id[128];
  int64_t retry_after_ms; /* how long the other side wishes to be left alone; 0: it does not say */
  bool too_large;         /* there is more of it than content has room for */
};

void reader_open(const struct s3_settings *settings, const struct places *places,
                 struct reader *out);
void reader_close(struct reader *reader);

/* Whether url may be read (BAD_INPUT says where may be); reader_read asks it, too. */
enum status reader_check(const struct reader *reader, const char *url);

/* Appends what is at url, which may be as large as content's maximum. UNAVAILABLE: the place is
 * away, ask again. EXHAUSTED: too large, or it says no today. BAD_INPUT: there is nothing such, the
 * URL is malformed, or the place may not be read. */
enum status reader_read(struct reader *reader, const char *url, struct bytes *content,
                        struct read_result *how);

#endif
