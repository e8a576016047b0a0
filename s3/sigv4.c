/* sigv4.c - canonical request, string to sign, signature.
 *
 * Sorting is done on encoded text, and headers of one name are merged in the order given: both are
 * what the published vectors check.
 */
#include "s3/sigv4.h"

#include <ctype.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include "base/text.h"
#include "s3/digest.h"

#define ALGORITHM "AWS4-HMAC-SHA256"

void sigv4_date(int64_t wall_ms, char text[SIGV4_DATE_TEXT_MAX]) {
  time_t seconds = (time_t)(wall_ms / 1000);
  struct tm parts;
  gmtime_r(&seconds, &parts);
  strftime(text, SIGV4_DATE_TEXT_MAX, "%Y%m%dT%H%M%SZ", &parts);
}

enum status sigv4_encode(const char *text, int keep_slash, struct bytes *out) {
  for (const unsigned char *at = (const unsigned char *)text; *at != '\0'; at++) {
    bool plain = isalnum(*at) || strchr("-._~", *at) != NULL || (keep_slash && *at == '/');
    if (plain) {
      TRY(bytes_append(out, at, 1));
    } else {
      TRY(bytes_printf(out, "%%%02X", *at));
    }
  }
  return OK;
}

/* queries -------------------------------------------------------------------------------------- */

struct encoded {
  struct bytes name, value;
};

static int by_name_then_value(const void *left, const void *right) {
  const struct encoded *a = left;
  const struct encoded *b = right;
  int order = strcmp(bytes_text(&a->name), bytes_text(&b->name));
  return order != 0 ? order : strcmp(bytes_text(&a->value), bytes_text(&b->value));
}

static enum status encode_pairs(const struct sigv4_pair *pairs, size_t count, struct encoded *out) {
  for (size_t i = 0; i < count; i++) {
    TRY(sigv4_encode(pairs[i].name, 0, &out[i].name));
    TRY(sigv4_encode(pairs[i].value == NULL ? "" : pairs[i].value, 0, &out[i].value));
  }
  return OK;
}

static enum status join_pairs(struct encoded *pairs, size_t count, struct bytes *out) {
  qsort(pairs, count, sizeof *pairs, by_name_then_value);
  for (size_t i = 0; i < count; i++) {
    TRY(bytes_printf(out, "%s%s=%s", i == 0 ? "" : "&", bytes_text(&pairs[i].name),
                     bytes_text(&pairs[i].value)));
  }
  return OK;
}

enum status sigv4_query(const struct sigv4_pair *pairs, size_t count, struct bytes *out) {
  if (count > SIGV4_PAIRS_MAX) {
    return fail(BAD_INPUT, "more than %d query parameters", SIGV4_PAIRS_MAX);
  }
  struct encoded encoded[SIGV4_PAIRS_MAX];
  for (size_t i = 0; i < count; i++) {
    bytes_open(&encoded[i].name, SIGV4_TEXT_BYTES_MAX);
    bytes_open(&encoded[i].value, SIGV4_TEXT_BYTES_MAX);
  }
  enum status status = encode_pairs(pairs, count, encoded);
  status = status == OK ? join_pairs(encoded, count, out) : status;
  for (size_t i = 0; i < count; i++) {
    bytes_close(&encoded[i].name);
    bytes_close(&encoded[i].value);
  }
  return status;
}

/* headers -------------------------------------------------------------------------------------- */

/* The headers by name; equal names keep their order, so the sort must be stable and qsort is not:
 * compare positions. */
static int by_header_name(const void *left, const void *right) {
  const struct sigv4_pair *const *a = left;
  const struct sigv4_pair *const *b = right;
  int order = strcasecmp((*a)->name, (*b)->name);
  return order != 0 ? order : (*a < *b ? -1 : 1);
}

struct sorted {
  const struct sigv4_pair *header[SIGV4_PAIRS_MAX];
  size_t count;
};

static enum status sort_headers(const struct sigv4_request *request, struct sorted *out) {
  if (request->header_count > SIGV4_PAIRS_MAX) {
    return fail(BAD_INPUT, "more than %d headers to sign", SIGV4_PAIRS_MAX);
  }
  out->count = request->header_count;
  for (size_t i = 0; i < out->count; i++) {
    out->header[i] = &request->headers[i];
  }
  qsort(out->header, out->count, sizeof out->header[0], by_header_name);
  return OK;
}

static bool same_as_before(const struct sorted *sorted, size_t index) {
  return index > 0 && strcasecmp(sorted->header[index]->name, sorted->header[index - 1]->name) == 0;
}

static enum status append_lower(const char *text, struct bytes *out) {
  for (; *text != '\0'; text++) {
    char lower = (char)tolower((unsigned char)*text);
    TRY(bytes_append(out, &lower, 1));
  }
  return OK;
}

/* Ends trimmed, every inner run of blanks and line ends one space. */
static enum status append_trimmed(const char *value, struct bytes *out) {
  bool pending = false;
  bool begun = false;
  for (; value != NULL && *value != '\0'; value++) {
    if (isspace((unsigned char)*value)) {
      pending = begun;
      continue;
    }
    if (pending) {
      TRY(bytes_append(out, " ", 1));
    }
    TRY(bytes_append(out, value, 1));
    begun = true;
    pending = false;
  }
  return OK;
}

static enum status append_headers(const struct sorted *sorted, struct bytes *out) {
  for (size_t i = 0; i < sorted->count; i++) {
    if (same_as_before(sorted, i)) {
      TRY(bytes_append_text(out, ","));
    } else {
      TRY(bytes_append_text(out, i == 0 ? "" : "\n"));
      TRY(append_lower(sorted->header[i]->name, out));
      TRY(bytes_append_text(out, ":"));
    }
    TRY(append_trimmed(sorted->header[i]->value, out));
  }
  return bytes_append_text(out, "\n");
}

static enum status append_names(const struct sorted *sorted, struct bytes *out) {
  for (size_t i = 0; i < sorted->count; i++) {
    if (!same_as_before(sorted, i)) {
      TRY(bytes_append_text(out, i == 0 ? "" : ";"));
      TRY(append_lower(sorted->header[i]->name, out));
    }
  }
  return OK;
}

static enum status signed_names(const struct sigv4_request *request, struct bytes *out) {
  struct sorted sorted;
  TRY(sort_headers(request, &sorted));
  return append_names(&sorted, out);
}

/* signing -------------------------------------------------------------------------------------- */

enum status sigv4_canonical(const struct sigv4_request *request, struct bytes *out) {
  struct sorted sorted;
  TRY(sort_headers(request, &sorted));
  TRY(bytes_printf(out, "%s\n", request->method));
  TRY(sigv4_encode(request->path, SIGV4_KEEP_SLASH, out));
  TRY(bytes_append_text(out, "\n"));
  TRY(sigv4_query(request->query, request->query_count, out));
  TRY(bytes_append_text(out, "\n"));
  TRY(append_headers(&sorted, out));
  TRY(bytes_append_text(out, "\n"));
  TRY(append_names(&sorted, out));
  return bytes_printf(out, "\n%s", request->payload_sha256);
}

/* The key for one day, region and service: four HMACs, each keyed by the one before. */
static enum status signing_key(const struct sigv4_identity *identity, const char *day,
                               uint8_t key[SHA256_BYTES]) {
  char first[512];
  int length = snprintf(first, sizeof first, "AWS4%s", identity->secret_key);
  if (length >= (int)sizeof first) {
    return fail(BAD_INPUT, "the secret key is longer than %zu bytes", sizeof first - 5);
  }
  TRY(digest_hmac((const uint8_t *)first, (size_t)length, day, 8, key));
  const char *const steps[] = {identity->region, identity->service, "aws4_request"};
  for (size_t i = 0; i < sizeof steps / sizeof steps[0]; i++) {
    uint8_t next[SHA256_BYTES];
    TRY(digest_hmac(key, SHA256_BYTES, steps[i], strlen(steps[i]), next));
    memcpy(key, next, sizeof next);
  }
  return OK;
}

struct signing {
  char date[SIGV4_DATE_TEXT_MAX];
  char scope[192];
  struct bytes text; /* scratch: canonical request, then string to sign */
};

static enum status signing_open(const struct sigv4_request *request,
                                const struct sigv4_identity *identity, struct signing *signing) {
  sigv4_date(request->wall_ms, signing->date);
  bytes_open(&signing->text, SIGV4_TEXT_BYTES_MAX);
  int length = snprintf(signing->scope, sizeof signing->scope, "%.8s/%s/%s/aws4_request",
                        signing->date, identity->region, identity->service);
  return length < (int)sizeof signing->scope ? OK
                                             : fail(BAD_INPUT, "region or service name too long");
}

static enum status signature(const struct sigv4_request *request,
                             const struct sigv4_identity *identity, struct signing *signing,
                             char hex[SHA256_TEXT_MAX]) {
  bytes_clear(&signing->text);
  TRY(sigv4_canonical(request, &signing->text));
  char canonical_hash[SHA256_TEXT_MAX];
  TRY(digest_sha256_text(bytes_text(&signing->text), signing->text.length, canonical_hash));
  bytes_clear(&signing->text);
  TRY(bytes_printf(&signing->text, ALGORITHM "\n%s\n%s\n%s", signing->date, signing->scope,
                   canonical_hash));
  uint8_t key[SHA256_BYTES];
  uint8_t digest[SHA256_BYTES];
  TRY(signing_key(identity, signing->date, key));
  TRY(digest_hmac(key, sizeof key, bytes_text(&signing->text), signing->text.length, digest));
  text_hex(digest, sizeof digest, hex);
  return OK;
}

static enum status authorize(const struct sigv4_request *request,
                             const struct sigv4_identity *identity, struct signing *signing,
                             struct bytes *authorization) {
  char hex[SHA256_TEXT_MAX];
  TRY(signature(request, identity, signing, hex));
  TRY(bytes_printf(authorization, ALGORITHM " Credential=%s/%s, SignedHeaders=",
                   identity->access_key, signing->scope));
  TRY(signed_names(request, authorization));
  return bytes_printf(authorization, ", Signature=%s", hex);
}

enum status sigv4_authorize(const struct sigv4_request *request,
                            const struct sigv4_identity *identity, struct bytes *authorization) {
  struct signing signing;
  enum status status = signing_open(request, identity, &signing);
  status = status == OK ? authorize(request, identity, &signing, authorization) : status;
  bytes_close(&signing.text);
  return status;
}
