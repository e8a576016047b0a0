/* place.h - where an S3 bucket is: read from the URL and the environment; its region may be learned
 * later.
 *
 * AWS_ENDPOINT_URL_S3 or AWS_ENDPOINT_URL; AWS_REGION or AWS_DEFAULT_REGION (us-east-1);
 * AWS_CA_BUNDLE: the names every S3 tool knows. Who asks is in keys.h.
 */
#ifndef DARKROOM_S3_PLACE_H
#define DARKROOM_S3_PLACE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/bytes.h"
#include "base/settings.h"
#include "base/status.h"
#include "s3/answer.h"

#define S3_BUCKET_BYTES_MIN 3
#define S3_BUCKET_BYTES_MAX 63
#define S3_HOST_BYTES_MAX 300
#define S3_PREFIX_BYTES_MAX 512

/* How buckets are named in requests: in the path or in the host. */
enum s3_addressing { S3_ADDRESSING_AUTO, S3_ADDRESSING_PATH, S3_ADDRESSING_VIRTUAL };

/* The rows of a program's settings, whose structure has int s3_addressing and const char *s3_proxy;
 * uses_: of which verbs (settings.h), 0: all. */
#define S3_SETTINGS(structure, uses_)                                                 \
  {.name = "s3-addressing",                                                           \
   .type = SETTING_CHOICE,                                                            \
   .field = offsetof(structure, s3_addressing),                                       \
   .standard = "auto",                                                                \
   .choices = "auto|path|virtual",                                                    \
   .uses = (uses_),                                                                   \
   .help = "bucket in the path or in the host; auto: host only at Amazon"},           \
  {                                                                                   \
    .name = "s3-proxy", .type = SETTING_TEXT, .field = offsetof(structure, s3_proxy), \
    .standard = "", .max = 500, .uses = (uses_),                                      \
    .help = "proxy for S3 requests; none is taken from the environment"               \
  }

struct s3_place {
  char scheme[8];                 /* "http", "https" */
  char host[S3_HOST_BYTES_MAX];   /* as signed and sent: the bucket in front when virtual, port when
                                     not standard */
  char base[S3_PREFIX_BYTES_MAX]; /* the endpoint's own path, "" mostly; no '/' at its end */
  char bucket[S3_BUCKET_BYTES_MAX + 1];
  char prefix[S3_PREFIX_BYTES_MAX]; /* of all keys; "" or without '/' at either end */
  bool virtual_host;
  bool amazon; /* no endpoint was named: the host's name follows from the region */
  char region[S3_REGION_BYTES_MAX];
  char ca_bundle[1024]; /* "" for the system's */
};

/* Takes "s3://bucket/rest" apart; *rest points into url behind that '/' ("" when there is none).
 * BAD_INPUT for what is no S3 URL. Nothing is decoded: these URLs carry keys as they are. */
enum status s3_url_split(const char *url, char bucket[S3_BUCKET_BYTES_MAX + 1], const char **rest);

/* Of "s3://bucket/prefix" and the environment. BAD_INPUT names what is malformed, with the field
 * "store". */
enum status s3_place_read(const char *url, enum s3_addressing addressing, struct s3_place *out);

/* The path of a request for key, decoded. */
enum status s3_place_path(const struct s3_place *place, const char *key, struct bytes *path);

/* The bucket is in another region than was thought: signatures name it, and at Amazon the host
 * does. BAD_INPUT for what cannot be a region. */
enum status s3_place_move(struct s3_place *place, const char *region);

#endif
