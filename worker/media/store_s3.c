/* store_s3.c - s3://bucket/prefix: what is asked of a bucket, and when an object is said to be
 * there.
 *
 * A put is a PUT whose body digest is signed and whose MD5 is named, then a HEAD that must tell the
 * same size and checksum: only then is the object said to be there. The key holds the fence, so
 * putting it again only ever overwrites the same picture, and no conditional PUT (which half of the
 * servers refuse) is needed.
 */
#include <openssl/evp.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "monitoring/log.h"
#include "monitoring/metrics.h"
#include "s3/s3.h"
#include "worker/media/store.h"

/* One request, counted. */
static enum status ask(struct s3 *s3, struct s3_exchange *exchange) {
  enum status status = s3_request(s3, exchange);
  char labels[64];
  snprintf(labels, sizeof labels, "%s,%ld", exchange->operation, exchange->code);
  metric_add_labelled(M_S3_REQUESTS, labels, 1);
  if (exchange->skew_ms != 0) {
    log_warning("s3_clock_skew", log_number("ms", exchange->skew_ms));
  }
  return status;
}

static enum status bucket_open(const struct store_settings *settings, void **out) {
  struct s3 *s3 = NULL;
  TRY(s3_open(settings->url, &settings->s3, &s3));
  *out = s3;
  return OK;
}

static void bucket_close(void *inside) {
  struct s3 *s3 = inside;
  s3_close(&s3);
}

static enum status bucket_check(void *inside) {
  struct s3_exchange check = {.operation = "check", .method = "HEAD"};
  return ask(inside, &check);
}

/* Size always; the MD5 when the ETag is one (encrypted objects have others), and our own SHA-256
 * from the metadata. */
static enum status verify(struct s3 *s3, const struct store_object *object, const char *md5,
                          const char *sha256) {
  struct s3_exchange head = {.operation = "head", .method = "HEAD", .key = object->key};
  enum status status = ask(s3, &head);
  if (status == BAD_INPUT && head.code == 404) {
    return fail(UNAVAILABLE, "s3: %s is not there after it was put", object->key);
  }
  TRY(status);
  bool etag_is_md5 = strlen(head.etag) == MD5_TEXT_MAX - 1 &&
                     strspn(head.etag, "0123456789abcdef") == MD5_TEXT_MAX - 1;
  bool same = head.content_length == (long long)object->bytes;
  same = same && (!etag_is_md5 || strcmp(head.etag, md5) == 0);
  same = same && (head.sha256[0] == '\0' || strcmp(head.sha256, sha256) == 0);
  same = same && (etag_is_md5 || head.sha256[0] != '\0');
  return same ? OK
              : fail(UNAVAILABLE, "s3: %s does not hold what was put (size or checksum)",
                     object->key);
}

static enum status bucket_put(void *inside, const struct store_object *object) {
  uint8_t digest[MD5_BYTES];
  TRY(digest_md5(object->data, object->bytes, digest));
  char md5_text[MD5_TEXT_MAX];
  char md5_base64[4 * ((MD5_BYTES + 2) / 3) + 1];
  digest_hex(digest, sizeof digest, md5_text);
  EVP_EncodeBlock((unsigned char *)md5_base64, digest, sizeof digest);
  char sha256[SHA256_TEXT_MAX];
  TRY(digest_sha256_text(object->data, object->bytes, sha256));
  struct s3_exchange put = {.operation = "put",
                            .method = "PUT",
                            .key = object->key,
                            .headers = {{"content-type", object->type},
                                        {"content-md5", md5_base64},
                                        {"x-amz-meta-sha256", sha256}},
                            .header_count = 3,
                            .data = object->data,
                            .bytes = object->bytes};
  TRY(ask(inside, &put));
  return verify(inside, object, md5_text, sha256);
}

static enum status bucket_get(void *inside, const char *key, struct bytes *out) {
  struct s3_exchange get = {.operation = "get", .method = "GET", .key = key, .body = out};
  bytes_clear(out);
  return ask(inside, &get);
}

static enum status bucket_remove(void *inside, const char *key) {
  struct s3_exchange remove = {.operation = "delete", .method = "DELETE", .key = key};
  enum status status = ask(inside, &remove);
  return status == BAD_INPUT && remove.code == 404 ? OK : status;
}

static enum status bucket_locate(void *inside, const char *key, struct bytes *url) {
  return s3_locate(inside, key, url);
}

static enum status bucket_presign(void *inside, const char *key, unsigned expires_seconds,
                                  struct bytes *url) {
  return s3_presign(inside, key, expires_seconds, url);
}

const struct store_scheme store_s3 = {
    .name = "s3",
    .help =
        "s3://BUCKET/PREFIX: AWS_ENDPOINT_URL_S3, AWS_REGION, AWS_ACCESS_KEY_ID, "
        "AWS_SECRET_ACCESS_KEY",
    .open = bucket_open,
    .close = bucket_close,
    .check = bucket_check,
    .put = bucket_put,
    .get = bucket_get,
    .remove = bucket_remove,
    .presign = bucket_presign,
    .locate = bucket_locate,
};
