/* store_s3.c - s3://bucket/prefix: what is asked of a bucket, and when an object is said to be
 * there.
 *
 * A put is a PUT whose body digest is signed and whose MD5 is named, so that a server refuses what
 * was damaged on the way. Then the object is asked for: that it is there is proved by its size and
 * an ETag that is our MD5 (it can only be so where the store makes ETags of MD5s), and where the
 * ETag is something else (encrypted buckets, servers with ideas of their own) by reading all of it
 * and comparing SHA-256. Only PUT, GET and DELETE of keys under the prefix are used: no HEAD, whose
 * refusals have no words, and nothing of the bucket itself.
 *
 * The key holds the fence, so putting it again only ever overwrites the same picture, and no
 * conditional PUT (which half of the servers refuse) is needed.
 */
#include <openssl/evp.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/text.h"
#include "monitoring/log.h"
#include "monitoring/metrics.h"
#include "s3/s3.h"
#include "store/store.h"

/* One client, and what its last refusal wished. */
struct bucket {
  struct s3 *s3;
  int64_t retry_after_ms;
};

/* One request, counted; what was learned on the way is told. */
static enum status ask(struct bucket *bucket, struct s3_exchange *exchange) {
  enum status status = s3_request(bucket->s3, exchange);
  bucket->retry_after_ms = status != OK ? exchange->retry_after_ms : 0;
  char labels[64];
  snprintf(labels, sizeof labels, "%s,%ld", exchange->operation, exchange->code);
  metric_add_labelled(M_S3_REQUESTS, labels, 1);
  if (exchange->skew_ms != 0) {
    log_warning("s3_clock_skew", log_number("ms", exchange->skew_ms));
  }
  if (exchange->moved) {
    log_warning("s3_region_learned", log_text("operation", exchange->operation));
  }
  if (exchange->renewed) {
    log_event("s3_keys_renewed");
  }
  return status;
}

static enum status bucket_open(const struct store_settings *settings, void **out) {
  struct bucket *bucket = calloc(1, sizeof *bucket);
  if (bucket == NULL) {
    return fail(EXHAUSTED, "no memory for a store");
  }
  enum status status = s3_open(settings->url, &settings->s3, &bucket->s3);
  if (status != OK) {
    free(bucket);
    return status;
  }
  *out = bucket;
  return OK;
}

static void bucket_close(void *inside) {
  struct bucket *bucket = inside;
  s3_close(&bucket->s3);
  free(bucket);
}

/* storing ----------------------------------------------------------------------------------- */

/* What was put, as a store may tell it back. */
struct sums {
  char md5[MD5_TEXT_MAX];
  char md5_base64[4 * ((MD5_BYTES + 2) / 3) + 1];
  char sha256[SHA256_TEXT_MAX];
};

static enum status sums_of(const struct store_object *object, struct sums *out) {
  uint8_t digest[MD5_BYTES];
  TRY(digest_md5(object->data, object->bytes, digest));
  text_hex(digest, sizeof digest, out->md5);
  EVP_EncodeBlock((unsigned char *)out->md5_base64, digest, sizeof digest);
  return digest_sha256_text(object->data, object->bytes, out->sha256);
}

static enum status differs(const struct store_object *object) {
  return fail(UNAVAILABLE, "s3: %s does not hold what was put (size or checksum)", object->key);
}

/* A GET that found nothing, or more than was put, has found out that the put did not hold. */
static enum status not_found(const struct store_object *object, const struct s3_exchange *get,
                             enum status status) {
  if (status == BAD_INPUT && get->code == 404) {
    return fail(UNAVAILABLE, "s3: %s is not there after it was put", object->key);
  }
  return status == EXHAUSTED && get->code == 0 ? differs(object) : status;
}

static enum status same_content(const struct store_object *object, const struct sums *sums,
                                const struct bytes *content) {
  char sha256[SHA256_TEXT_MAX];
  TRY(digest_sha256_text(bytes_text(content), content->length, sha256));
  bool same = content->length == object->bytes && strcmp(sha256, sums->sha256) == 0;
  return same ? OK : differs(object);
}

static enum status read_whole(struct bucket *bucket, const struct store_object *object,
                              const struct sums *sums, struct bytes *content) {
  struct s3_exchange get = {
      .operation = "get", .method = "GET", .key = object->key, .body = content};
  bytes_clear(content);
  TRY(not_found(object, &get, ask(bucket, &get)));
  return same_content(object, sums, content);
}

/* One byte is asked for: with it come the size and the ETag. Who ignores ranges sends all, which
 * proves as much; whatever else is unclear is settled by reading all. */
static enum status prove(struct bucket *bucket, const struct store_object *object,
                         const struct sums *sums, struct bytes *content) {
  struct s3_exchange get = {.operation = "get",
                            .method = "GET",
                            .key = object->key,
                            .headers = {{"range", "bytes=0-0"}},
                            .header_count = 1,
                            .body = content};
  if (object->bytes == 0) {
    return read_whole(bucket, object, sums, content); /* no byte of it can be asked for */
  }
  enum status status = ask(bucket, &get);
  if (status != OK && (get.code == 416 || get.code == 501)) {
    return read_whole(bucket, object, sums, content);
  }
  TRY(not_found(object, &get, status));
  if (get.code != 206) {
    return same_content(object, sums, content);
  }
  bool proved = get.whole_bytes == (long long)object->bytes && strcasecmp(get.etag, sums->md5) == 0;
  return proved ? OK : read_whole(bucket, object, sums, content);
}

static enum status bucket_put(void *inside, const struct store_object *object) {
  struct sums sums;
  TRY(sums_of(object, &sums));
  struct s3_exchange put = {.operation = "put",
                            .method = "PUT",
                            .key = object->key,
                            .headers = {{"content-type", object->type},
                                        {"content-md5", sums.md5_base64},
                                        {"x-amz-meta-sha256", sums.sha256}},
                            .header_count = 3,
                            .data = object->data,
                            .bytes = object->bytes};
  TRY(ask(inside, &put));
  struct bytes content;
  bytes_open(&content, object->bytes);
  enum status status = prove(inside, object, &sums, &content);
  bytes_close(&content);
  return status;
}

/* the rest ---------------------------------------------------------------------------------- */

static enum status bucket_remove(void *inside, const char *key) {
  struct s3_exchange remove = {.operation = "delete", .method = "DELETE", .key = key};
  enum status status = ask(inside, &remove);
  return status == BAD_INPUT && remove.code == 404 ? OK : status;
}

static enum status bucket_locate(void *inside, const char *key, struct bytes *url) {
  const struct bucket *bucket = inside;
  return s3_locate(bucket->s3, key, url);
}

static int64_t bucket_retry_after_ms(void *inside) {
  const struct bucket *bucket = inside;
  return bucket->retry_after_ms;
}

const struct store_scheme store_s3 = {
    .name = "s3",
    .help =
        "s3://BUCKET/PREFIX: AWS_ENDPOINT_URL_S3, AWS_REGION, AWS_ACCESS_KEY_ID, "
        "AWS_SECRET_ACCESS_KEY or AWS_SHARED_CREDENTIALS_FILE",
    .open = bucket_open,
    .close = bucket_close,
    .put = bucket_put,
    .remove = bucket_remove,
    .locate = bucket_locate,
    .retry_after_ms = bucket_retry_after_ms,
};
