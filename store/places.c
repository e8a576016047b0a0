/* places.c - a URL against a list; what decides is compared letter by letter, and decoded once. */
#include "store/places.h"

#include <curl/curl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "s3/place.h"
#include "store/digest.h"
#include "store/url.h"

#define INPUTS "inputs/" /* of the store: files of jobs by their SHA-256 (cli/blobs.c) */
#define FILE_SCHEME "file://"
#define HTTPS_SCHEME "https://"

static bool begins(const char *text, const char *with) {
  return strncmp(text, with, strlen(with)) == 0;
}

/* Without the slashes at its end. */
static size_t place_bytes(const char *place) {
  size_t length = strlen(place);
  while (length > 0 && place[length - 1] == '/') {
    length--;
  }
  return length;
}

/* "a" and "a/" hold "a/b", and not "ab". */
static bool is_below(const char *url, const char *place) {
  size_t length = place_bytes(place);
  return strncmp(url, place, length) == 0 && url[length] == '/';
}

/* Whether a segment of the path is "." or ".."; it ends at any of `end`. */
static bool path_has_dots(const char *path, const char *end) {
  for (size_t left = strcspn(path, end); left > 0;) {
    size_t length = strcspn(path, "/");
    length = length < left ? length : left;
    if ((length == 1 && path[0] == '.') || (length == 2 && memcmp(path, "..", 2) == 0)) {
      return true;
    }
    size_t step = length < left ? length + 1 : length;
    path += step;
    left -= step;
  }
  return false;
}

static bool has_dots(const char *url) {
  const char *at = strstr(url, "://");
  return path_has_dots(at != NULL ? at + 3 : url, "?#");
}

/* As libcurl itself will read it: two readings of one URL are a way in. */
static bool host_listed(const struct places *places, const char *url) {
  CURLU *parts = curl_url();
  char *host = NULL;
  char *port = NULL;
  char *user = NULL;
  bool listed = false;
  bool read = parts != NULL && curl_url_set(parts, CURLUPART_URL, url, 0) == CURLUE_OK &&
              curl_url_get(parts, CURLUPART_HOST, &host, 0) == CURLUE_OK &&
              curl_url_get(parts, CURLUPART_PORT, &port, CURLU_DEFAULT_PORT) == CURLUE_OK;
  if (read && curl_url_get(parts, CURLUPART_USER, &user, 0) == CURLUE_NO_USER) {
    char with_port[320];
    snprintf(with_port, sizeof with_port, "%.256s:%.16s", host, port);
    for (size_t i = 0; i < places->host_count; i++) {
      const char *entry = places->host[i];
      bool plain = strcmp(port, "443") == 0 && strcasecmp(entry, host) == 0;
      listed = listed || plain || strcasecmp(entry, with_port) == 0;
    }
  }
  curl_free(host);
  curl_free(port);
  curl_free(user);
  curl_url_cleanup(parts);
  return listed;
}

/* below what ----------------------------------------------------------------------------------- */

/* Each: what `where` has behind the place that it lies below, NULL when it lies elsewhere. */
typedef const char *behind_place(const char *where, const char *place);

static const char *behind_url(const char *url, const char *place) {
  return is_below(url, place) ? url + place_bytes(place) + 1 : NULL;
}

/* A place's prefix means the same with more slashes around it (s3/place.c). */
static const char *behind_s3(const char *url, const char *place) {
  char bucket[2][S3_BUCKET_BYTES_MAX + 1];
  const char *key = NULL;
  const char *prefix = NULL;
  if (s3_url_split(url, bucket[0], &key) != OK || s3_url_split(place, bucket[1], &prefix) != OK ||
      strcmp(bucket[0], bucket[1]) != 0) {
    return NULL;
  }
  prefix += strspn(prefix, "/");
  if (place_bytes(prefix) > 0) {
    return behind_url(key, prefix);
  }
  return key[0] != '\0' ? key : NULL; /* all of the bucket */
}

/* The place's own links are the operator's affair. */
static const char *behind_real(const char *path, const char *place) {
  char folder[PATH_MAX];
  char real[PATH_MAX];
  if (!begins(place, FILE_SCHEME) || url_path(place, folder) != OK ||
      realpath(folder, real) == NULL) {
    return NULL;
  }
  return behind_url(path, strcmp(real, "/") == 0 ? "" : real);
}

static const char *behind_spelled(const char *path, const char *place) {
  char folder[PATH_MAX];
  bool file = begins(place, FILE_SCHEME) && url_path(place, folder) == OK;
  return file && is_below(path, folder) ? behind_url(path, folder) : behind_real(path, place);
}

/* what of it ----------------------------------------------------------------------------------- */

static bool is_input(const char *key) {
  size_t digits = begins(key, INPUTS) ? strspn(key + strlen(INPUTS), "0123456789abcdef") : 0;
  return digits == SHA256_TEXT_MAX - 1 && key[strlen(INPUTS) + digits] == '\0';
}

static bool is_of(const char *key, const char *tenant) {
  size_t bytes = tenant != NULL ? strlen(tenant) : 0;
  return bytes > 0 && strncmp(key, tenant, bytes) == 0 && key[bytes] == '/';
}

/* Below the store lie everybody's results. */
static enum status check_own(const char *key, const char *tenant) {
  return is_input(key) || is_of(key, tenant)
             ? OK
             : fail(BAD_INPUT,
                    "of the store a job may read inputs/SHA256 and what lies below %.64s/, which "
                    "are its tenant's results, and nothing else",
                    tenant != NULL ? tenant : "its own tenant");
}

/* A place that holds the store opens nothing of it; one inside of the store is the operator's
 * word. */
static enum status check(const struct places *places, const char *tenant, const char *where,
                         behind_place *behind) {
  const char *key = behind(where, places->store);
  for (size_t i = 0; i < places->below_count; i++) {
    const char *rest = behind(where, places->below[i]);
    if (rest != NULL && (key == NULL || rest > key)) {
      return OK;
    }
  }
  return key != NULL ? check_own(key, tenant)
                     : fail(BAD_INPUT,
                            "this worker reads from its own store, its --fetch-places and nowhere "
                            "else");
}

/* Before it is opened: that a file is there, too, is the operator's to tell, and a device acts when
 * it is opened. */
static enum status check_spelling(const struct places *places, const char *tenant,
                                  const char *url) {
  char path[PATH_MAX];
  TRY(url_path(url, path));
  if (path_has_dots(path, "")) { /* they were escaped, or behind what is no query of a file */
    return fail(BAD_INPUT, "a URL with . or .. in its path is not read");
  }
  return check(places, tenant, path, behind_spelled);
}

enum status places_check(const struct places *places, const char *tenant, const char *url) {
  if (has_dots(url)) {
    return fail(BAD_INPUT, "a URL with . or .. in its path is not read");
  }
  if (begins(url, HTTPS_SCHEME)) {
    return host_listed(places, url)
               ? OK
               : fail(BAD_INPUT, "this worker reads from none but the hosts in its --fetch-hosts");
  }
  return begins(url, FILE_SCHEME) ? check_spelling(places, tenant, url)
                                  : check(places, tenant, url, behind_s3);
}

enum status places_check_path(const struct places *places, const char *tenant, const char *path) {
  return check(places, tenant, path, behind_real);
}
