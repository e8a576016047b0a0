/* place.c - takes the bucket's URL and the endpoint's apart; decides path or virtual-host style. */
#include "s3/place.h"

#include <ctype.h>
#include <curl/curl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "s3/variable.h"

#define SCHEME "s3://"

enum status s3_url_split(const char *url, char bucket[S3_BUCKET_BYTES_MAX + 1], const char **rest) {
  const char *name = url + strlen(SCHEME);
  if (strncmp(url, SCHEME, strlen(SCHEME)) != 0) {
    return fail_field(BAD_INPUT, "store", "store: %.64s is not s3://BUCKET/...", url);
  }
  size_t length = strcspn(name, "/");
  if (length < S3_BUCKET_BYTES_MIN || length > S3_BUCKET_BYTES_MAX) {
    return fail_field(BAD_INPUT, "store", "store: %.64s: a bucket has %d..%d letters", url,
                      S3_BUCKET_BYTES_MIN, S3_BUCKET_BYTES_MAX);
  }
  for (size_t i = 0; i < length; i++) {
    if (!isalnum((unsigned char)name[i]) && strchr("-._", name[i]) == NULL) {
      return fail_field(BAD_INPUT, "store", "store: %.64s: not a bucket name", url);
    }
  }
  memcpy(bucket, name, length);
  bucket[length] = '\0';
  *rest = name + length + (name[length] == '/' ? 1 : 0);
  return OK;
}

/* "s3://bucket/prefix/" */
static enum status read_url(const char *url, struct s3_place *out) {
  const char *prefix = NULL;
  TRY(s3_url_split(url, out->bucket, &prefix));
  prefix += strspn(prefix, "/");
  TRY(s3_copy(out->prefix, sizeof out->prefix, "the prefix", prefix));
  for (size_t end = strlen(out->prefix); end > 0 && out->prefix[end - 1] == '/'; end--) {
    out->prefix[end - 1] = '\0';
  }
  return OK;
}

static enum status read_texts(struct s3_place *out) {
  TRY(s3_copy(out->ca_bundle, sizeof out->ca_bundle, "AWS_CA_BUNDLE",
              s3_variable("AWS_CA_BUNDLE", "")));
  return s3_copy(out->region, sizeof out->region, "AWS_REGION",
                 s3_variable("AWS_REGION", s3_variable("AWS_DEFAULT_REGION", "us-east-1")));
}

/* A bucket name that is a host label and no more; a dot would break the certificate's wildcard. */
static bool host_label(const char *bucket) {
  for (; *bucket != '\0'; bucket++) {
    if (!islower((unsigned char)*bucket) && !isdigit((unsigned char)*bucket) && *bucket != '-') {
      return false;
    }
  }
  return true;
}

static enum status read_endpoint(CURLU *parts, const char *endpoint, struct s3_place *out) {
  char *scheme = NULL;
  char *host = NULL;
  char *port = NULL;
  char *path = NULL;
  bool read = curl_url_set(parts, CURLUPART_URL, endpoint, 0) == CURLUE_OK &&
              curl_url_get(parts, CURLUPART_SCHEME, &scheme, 0) == CURLUE_OK &&
              curl_url_get(parts, CURLUPART_HOST, &host, 0) == CURLUE_OK &&
              curl_url_get(parts, CURLUPART_PATH, &path, 0) == CURLUE_OK;
  read = read && (strcmp(scheme, "http") == 0 || strcmp(scheme, "https") == 0);
  /* what the signature covers must be what libcurl sends: a standard port is left out by both */
  bool ported =
      read && curl_url_get(parts, CURLUPART_PORT, &port, CURLU_NO_DEFAULT_PORT) == CURLUE_OK;
  int length = 0;
  if (read) {
    snprintf(out->scheme, sizeof out->scheme, "%s", scheme);
    length =
        snprintf(out->host, sizeof out->host, "%s%s%s%s%s", out->virtual_host ? out->bucket : "",
                 out->virtual_host ? "." : "", host, ported ? ":" : "", ported ? port : "");
    size_t end = strlen(path);
    while (end > 0 && path[end - 1] == '/') {
      path[--end] = '\0';
    }
    read = length < (int)sizeof out->host && end < sizeof out->base;
  }
  if (read) {
    snprintf(out->base, sizeof out->base, "%s", path);
  }
  curl_free(scheme);
  curl_free(host);
  curl_free(port);
  curl_free(path);
  return read ? OK
              : fail_field(BAD_INPUT, "store",
                           "store: %.100s is not an endpoint: http[s]://HOST[:PORT]", endpoint);
}

static enum status set_endpoint(const char *endpoint, struct s3_place *out) {
  CURLU *parts = curl_url();
  if (parts == NULL) {
    return fail(EXHAUSTED, "no memory for a URL");
  }
  enum status status = read_endpoint(parts, endpoint, out);
  curl_url_cleanup(parts);
  return status;
}

static enum status set_amazon(struct s3_place *out) {
  char endpoint[64 + S3_REGION_BYTES_MAX];
  snprintf(endpoint, sizeof endpoint, "https://s3.%s.amazonaws.com%s", out->region,
           strncmp(out->region, "cn-", 3) == 0 ? ".cn" : "");
  return set_endpoint(endpoint, out);
}

enum status s3_place_read(const char *url, enum s3_addressing addressing, struct s3_place *out) {
  struct s3_place place = {0};
  TRY(read_url(url, &place));
  TRY(read_texts(&place));
  const char *endpoint = s3_variable("AWS_ENDPOINT_URL_S3", s3_variable("AWS_ENDPOINT_URL", NULL));
  place.amazon = endpoint == NULL;
  /* servers one runs oneself seldom have a wildcard name; Amazon wants the bucket in the host */
  place.virtual_host =
      addressing == S3_ADDRESSING_VIRTUAL ||
      (addressing == S3_ADDRESSING_AUTO && place.amazon && host_label(place.bucket));
  TRY(place.amazon ? set_amazon(&place) : set_endpoint(endpoint, &place));
  *out = place;
  return OK;
}

enum status s3_place_move(struct s3_place *place, const char *region) {
  if (!s3_region_valid(region)) {
    return fail(BAD_INPUT, "not a region");
  }
  struct s3_place moved = *place;
  snprintf(moved.region, sizeof moved.region, "%s", region);
  TRY(moved.amazon ? set_amazon(&moved) : OK);
  *place = moved;
  return OK;
}

enum status s3_place_path(const struct s3_place *place, const char *key, struct bytes *path) {
  TRY(bytes_printf(path, "%s/", place->base));
  if (!place->virtual_host) {
    TRY(bytes_printf(path, "%s/", place->bucket));
  }
  return bytes_printf(path, "%s%s%s", place->prefix, place->prefix[0] != '\0' ? "/" : "", key);
}
