/* places.c - a URL against a list; what decides is compared letter by letter, and decoded once. */
#include "store/places.h"

#include <curl/curl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "store/url.h"

#define FILE_SCHEME "file://"
#define HTTPS_SCHEME "https://"

static bool begins(const char *text, const char *with) {
  return strncmp(text, with, strlen(with)) == 0;
}

/* "a" and "a/" hold "a/b", and not "ab". */
static bool is_below(const char *url, const char *place) {
  size_t length = strlen(place);
  while (length > 0 && place[length - 1] == '/') {
    length--;
  }
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

/* The place's own links are the operator's affair. */
static bool path_below(const char *path, const char *place) {
  char folder[PATH_MAX];
  char real[PATH_MAX];
  if (!begins(place, FILE_SCHEME) || url_path(place, folder) != OK) {
    return false;
  }
  return realpath(folder, real) != NULL && is_below(path, strcmp(real, "/") == 0 ? "" : real);
}

static enum status elsewhere(void) {
  return fail(BAD_INPUT,
              "this worker reads files of its own store, its --fetch-places and nowhere "
              "else");
}

static bool spelled_below(const char *path, const char *place) {
  char folder[PATH_MAX];
  return begins(place, FILE_SCHEME) && url_path(place, folder) == OK && is_below(path, folder);
}

/* Before it is opened: that a file is there, too, is the operator's to tell, and a device acts when
 * it is opened. */
static enum status check_spelling(const struct places *places, const char *url) {
  char path[PATH_MAX];
  TRY(url_path(url, path));
  if (path_has_dots(path, "")) { /* they were escaped, or behind what is no query of a file */
    return fail(BAD_INPUT, "a URL with . or .. in its path is not read");
  }
  bool below = spelled_below(path, places->store) || path_below(path, places->store);
  for (size_t i = 0; i < places->below_count; i++) {
    below = below || spelled_below(path, places->below[i]) || path_below(path, places->below[i]);
  }
  return below ? OK : elsewhere();
}

enum status places_check(const struct places *places, const char *url) {
  if (has_dots(url)) {
    return fail(BAD_INPUT, "a URL with . or .. in its path is not read");
  }
  if (begins(url, HTTPS_SCHEME)) {
    return host_listed(places, url)
               ? OK
               : fail(BAD_INPUT, "this worker reads from none but the hosts in its --fetch-hosts");
  }
  if (begins(url, FILE_SCHEME)) {
    return check_spelling(places, url);
  }
  bool below = is_below(url, places->store);
  for (size_t i = 0; i < places->below_count; i++) {
    below = below || is_below(url, places->below[i]);
  }
  return below ? OK
               : fail(BAD_INPUT,
                      "this worker reads from its own store, its --fetch-places and "
                      "nowhere else");
}

enum status places_check_path(const struct places *places, const char *path) {
  bool below = path_below(path, places->store);
  for (size_t i = 0; i < places->below_count; i++) {
    below = below || path_below(path, places->below[i]);
  }
  return below ? OK : elsewhere();
}
