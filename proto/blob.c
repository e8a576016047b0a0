/* blob.c - one file of a job, as far as it can be judged without fetching it. */
#include "proto/blob.h"

#include <openssl/evp.h>
#include <stdio.h>
#include <string.h>

#include "base/limits.h"
#include "proto/job_rules.h"

typedef Darkroom__V1__Blob Blob;

static bool lower_hex(const char *text) {
  size_t digits = strspn(text, "0123456789abcdef");
  return digits == BLOB_SHA256_TEXT_MAX - 1 && text[digits] == '\0';
}

static enum status sha256_text(const ProtobufCBinaryData *data, char *text) {
  uint8_t digest[EVP_MAX_MD_SIZE];
  unsigned bytes = 0;
  if (EVP_Digest(data->data, data->len, digest, &bytes, EVP_sha256(), NULL) != 1) {
    return fail(BROKEN, "sha256 failed");
  }
  for (unsigned i = 0; i < bytes; i++) {
    snprintf(text + 2 * i, 3, "%02x", digest[i]);
  }
  return OK;
}

/* A scheme that workers read, and something behind it: s3: takes a bucket and a key. */
static bool known_scheme(const char *url) {
  static const char *const schemes[] = {"file:///", "file://localhost/", "s3://", "https://"};
  for (size_t i = 0; i < sizeof schemes / sizeof schemes[0]; i++) {
    size_t length = strlen(schemes[i]);
    if (strncmp(url, schemes[i], length) == 0) {
      const char *key = strchr(url + length, '/');
      bool keyed = url[length] != '/' && key != NULL && key[1] != '\0';
      return url[length] != '\0' && (url[0] != 's' || keyed);
    }
  }
  return false;
}

static enum status check_url(const struct job_input *input, struct refusal *why) {
  const Blob *blob = input->blob;
  struct text_rule rule = {input->field, 1, BLOB_URL_BYTES_MAX};
  TRY(rule_text(blob->url, &rule, why));
  if (!known_scheme(blob->url)) {
    return refuse(why, RULE_FIELD, input->field,
                  "file:///PATH, s3://BUCKET/KEY or https://HOST/PATH",
                  "%s is at a place that workers do not read", input->field);
  }
  bool needs = input->kind == DARKROOM__V1__BLOB_KIND__BLOB_ADAPTER ||
               input->kind == DARKROOM__V1__BLOB_KIND__BLOB_EMBEDDING;
  return blob->sha256 != NULL || !needs ? OK
                                        : refuse(why, RULE_FIELD, input->field, "with its sha256",
                                                 "%s by url needs its sha256", input->field);
}

static enum status check_inline(const struct job_input *input, struct refusal *why) {
  const Blob *blob = input->blob;
  char text[EVP_MAX_MD_SIZE * 2 + 1];
  if (blob->inline_.len == 0) {
    return refuse(why, RULE_FIELD, input->field, "1 byte or more", "%s is empty", input->field);
  }
  if (blob->has_bytes && blob->bytes != blob->inline_.len) {
    return refuse(why, RULE_FIELD, input->field, "bytes as it has", "%s has %zu bytes, not %llu",
                  input->field, blob->inline_.len, (unsigned long long)blob->bytes);
  }
  if (blob->inline_.len > JOB_INLINE_BYTES_MAX || blob->sha256 == NULL) {
    return OK; /* all of them together are counted elsewhere */
  }
  TRY(sha256_text(&blob->inline_, text));
  return strcmp(text, blob->sha256) == 0
             ? OK
             : refuse(why, RULE_FIELD, input->field, "its own sha256",
                      "%s has another sha256 than it says", input->field);
}

#define KIND(name) DARKROOM__V1__BLOB_KIND__BLOB_##name

static const char *kind_name(Darkroom__V1__BlobKind kind) {
  static const char *const names[] = {
      [KIND(IMAGE)] = "image",     [KIND(MASK)] = "mask",           [KIND(CONTROL)] = "control",
      [KIND(ADAPTER)] = "adapter", [KIND(EMBEDDING)] = "embedding",
  };
  size_t at = (size_t)kind;
  return at < sizeof names / sizeof names[0] && names[at] != NULL ? names[at] : "unknown";
}

enum status blob_check(const struct job_input *input, struct refusal *why) {
  const Blob *blob = input->blob;
  if ((blob->url != NULL) == (blob->has_inline_ != 0)) {
    return refuse(why, RULE_FIELD, input->field, "either url or inline", "%s has %s", input->field,
                  blob->url == NULL ? "neither url nor inline bytes" : "both url and inline bytes");
  }
  if (blob->sha256 != NULL && !lower_hex(blob->sha256)) {
    return refuse(why, RULE_FIELD, input->field, "64 digits of 0-9a-f", "%s has no such sha256",
                  input->field);
  }
  if (blob->has_kind && blob->kind != input->kind) {
    return refuse(why, RULE_FIELD, input->field, kind_name(input->kind), "%s is of kind %d",
                  input->field, (int)blob->kind);
  }
  if (blob->has_bytes && (blob->bytes == 0 || blob->bytes > input->bytes_max)) {
    char limit[48];
    snprintf(limit, sizeof limit, "1..%llu bytes", (unsigned long long)input->bytes_max);
    return refuse(why, RULE_FIELD, input->field, limit, "%s has %llu bytes", input->field,
                  (unsigned long long)blob->bytes);
  }
  return blob->url != NULL ? check_url(input, why) : check_inline(input, why);
}

/* what a file begins with ------------------------------------------------------------------ */

static bool begins(const uint8_t *data, size_t bytes, const char *with, size_t length) {
  return bytes >= length && memcmp(data, with, length) == 0;
}

/* A header's length, then an object. It may be that of 0x0280 bytes, which begins as a pickle does.
 */
static bool is_tensors(const uint8_t *data, size_t bytes) {
  return bytes > 8 && data[8] == '{' && (data[5] | data[6] | data[7]) == 0;
}

static bool is_picture(const uint8_t *data, size_t bytes) {
  bool webp = bytes >= 12 && memcmp(data, "RIFF", 4) == 0 && memcmp(data + 8, "WEBP", 4) == 0;
  return webp || begins(data, bytes, "\x89PNG\r\n\x1a\n", 8) ||
         begins(data, bytes, "\xff\xd8\xff", 3);
}

/* torch's old form, and the zip of its new one. */
static bool is_pickle(const uint8_t *data, size_t bytes) {
  bool bare = bytes >= 2 && data[0] == 0x80 && data[1] >= 1 && data[1] <= 5;
  return bare || begins(data, bytes, "PK\3\4", 4);
}

const char *blob_unlike(Darkroom__V1__BlobKind kind, const uint8_t *data, size_t bytes) {
  bool tensors = kind == KIND(ADAPTER) || kind == KIND(EMBEDDING);
  if (tensors ? is_tensors(data, bytes) : is_picture(data, bytes)) {
    return NULL;
  }
  if (is_pickle(data, bytes)) {
    return tensors ? "is a pickle, which is refused whatever its name: safetensors only"
                   : "is a pickle, which is refused whatever its name: PNG, JPEG or WebP only";
  }
  return tensors ? "is no safetensors file" : "is not a PNG, JPEG or WebP file";
}

/* what it counts as ------------------------------------------------------------------------ */

enum status blob_content(const Blob *blob, char *text, Blob *out) {
  Blob content = *blob;
  content.base.n_unknown_fields = 0;
  content.base.unknown_fields = NULL;
  content.has_kind = 0; /* its field says so anyway */
  if (blob->has_inline_) {
    TRY(sha256_text(&blob->inline_, text));
    content.sha256 = text;
  }
  if (content.sha256 != NULL) {
    content.url = NULL;
    content.has_inline_ = 0;
    content.has_bytes = 0;
  }
  *out = content;
  return OK;
}
