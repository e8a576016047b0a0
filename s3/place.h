/* place.h - where an S3 bucket is and who asks: read once from the URL and the environment.
 *
 * AWS_ENDPOINT_URL_S3 or AWS_ENDPOINT_URL; AWS_REGION or AWS_DEFAULT_REGION (us-east-1);
 * AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN; AWS_CA_BUNDLE: the names every S3
 * tool knows.
 */
#ifndef DARKROOM_S3_PLACE_H
#define DARKROOM_S3_PLACE_H

#include <stdbool.h>

#include "base/bytes.h"
#include "base/status.h"
#include "s3/sigv4.h"

#define S3_BUCKET_BYTES_MIN 3
#define S3_BUCKET_BYTES_MAX 63
#define S3_HOST_BYTES_MAX 300
#define S3_PREFIX_BYTES_MAX 512

/* How buckets are named in requests: in the path or in the host. */
enum s3_addressing { S3_ADDRESSING_AUTO, S3_ADDRESSING_PATH, S3_ADDRESSING_VIRTUAL };
#define S3_ADDRESSINGS "auto|path|virtual"

struct s3_place {
  char scheme[8];                 /* "http", "https" */
  char host[S3_HOST_BYTES_MAX];   /* as signed and sent: the bucket in front when virtual, port when
                                     not standard */
  char base[S3_PREFIX_BYTES_MAX]; /* the endpoint's own path, "" mostly; no '/' at its end */
  char bucket[S3_BUCKET_BYTES_MAX + 1];
  char prefix[S3_PREFIX_BYTES_MAX]; /* of all keys; "" or without '/' at either end */
  bool virtual_host;
  char access_key[256];
  char secret_key[256];
  char session_token[4096]; /* "" when not temporary */
  char region[64];
  char ca_bundle[1024]; /* "" for the system's */
};

/* Takes "s3://bucket/rest" apart; *rest points into url behind that '/' ("" when there is none).
 * BAD_INPUT for what is no S3 URL. Nothing is decoded: these URLs carry keys as they are. */
enum status s3_url_split(const char *url, char bucket[S3_BUCKET_BYTES_MAX + 1], const char **rest);

/* Of "s3://bucket/prefix" and the environment. BAD_INPUT names what is malformed or missing, with
 * the field "store". */
enum status s3_place_read(const char *url, enum s3_addressing addressing, struct s3_place *out);

/* The path of a request for key, or for the bucket itself when key is NULL: decoded. */
enum status s3_place_path(const struct s3_place *place, const char *key, struct bytes *path);

/* Borrows the texts of *place. */
struct sigv4_identity s3_place_identity(const struct s3_place *place);

#endif
