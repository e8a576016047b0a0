/* s3_place.h - where an S3 bucket is and who asks: read once from the URL and the environment.
 *
 * AWS_ENDPOINT_URL_S3 or AWS_ENDPOINT_URL; AWS_REGION or AWS_DEFAULT_REGION (us-east-1);
 * AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN; AWS_CA_BUNDLE: the names every S3
 * tool knows.
 */
#ifndef DARKROOM_WORKER_MEDIA_S3_PLACE_H
#define DARKROOM_WORKER_MEDIA_S3_PLACE_H

#include <stdbool.h>

#include "base/bytes.h"
#include "base/status.h"
#include "worker/media/sigv4.h"
#include "worker/media/store.h"

#define S3_BUCKET_BYTES_MAX 63
#define S3_HOST_BYTES_MAX 300

struct s3_place {
  char scheme[8];                 /* "http", "https" */
  char host[S3_HOST_BYTES_MAX];   /* as signed and sent: the bucket in front when virtual, port when
                                     not standard */
  char base[STORE_KEY_BYTES_MAX]; /* the endpoint's own path, "" mostly; no '/' at its end */
  char bucket[S3_BUCKET_BYTES_MAX + 1];
  char prefix[STORE_KEY_BYTES_MAX]; /* of all keys; "" or without '/' at either end */
  bool virtual_host;
  char access_key[256];
  char secret_key[256];
  char session_token[4096]; /* "" when not temporary */
  char region[64];
  char ca_bundle[1024]; /* "" for the system's */
};

/* BAD_INPUT names what is malformed or missing. */
enum status s3_place_read(const struct store_settings *settings, struct s3_place *out);

/* The path of a request for key, or for the bucket itself when key is NULL: decoded. */
enum status s3_place_path(const struct s3_place *place, const char *key, struct bytes *path);

/* Borrows the texts of *place. */
struct sigv4_identity s3_place_identity(const struct s3_place *place);

#endif
