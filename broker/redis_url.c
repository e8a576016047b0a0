/* redis_url.c - a URL is cut into its raw parts first and each part decoded after, so that an
 * encoded '@', ':' or '/' never cuts. */
#include "broker/redis_url.h"

#include <ctype.h>
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { PORT_STANDARD = 6379, PORT_MAX = 65535, DATABASE_MAX = 65535 };
static const char host_standard[] = "127.0.0.1";

/* A piece of the URL's text. */
struct part {
  const char *text;
  size_t length;
};

static struct part until(const char *from, const char *end) {
  return (struct part){from, (size_t)(end - from)};
}

static int hex_digit(char letter) {
  static const char digits[] = "0123456789abcdef";
  const char *found = letter != '\0' ? strchr(digits, tolower((unsigned char)letter)) : NULL;
  return found != NULL ? (int)(found - digits) : -1;
}

/* A '%' that two hex digits do not follow stands for itself, as in redis-py. In a query '+' is a
 * blank. */
static enum status decode(struct part part, bool query, char *to, size_t size, const char *what) {
  size_t length = 0;
  for (size_t i = 0; i < part.length; i++) {
    char letter = part.text[i];
    int high = letter == '%' && i + 2 < part.length ? hex_digit(part.text[i + 1]) : -1;
    int low = high >= 0 ? hex_digit(part.text[i + 2]) : -1;
    if (low >= 0) {
      letter = (char)(high * 16 + low);
      i += 2;
    } else if (query && letter == '+') {
      letter = ' ';
    }
    if (letter == '\0') {
      return fail_field(BAD_INPUT, "redis", "%s in the Redis URL has a byte 0", what);
    }
    if (length + 1 >= size) {
      return fail_field(BAD_INPUT, "redis", "%s in the Redis URL is longer than %zu bytes", what,
                        size - 1);
    }
    to[length++] = letter;
  }
  to[length] = '\0';
  return OK;
}

static enum status read_number(struct part part, long min, long max, const char *what, int *out) {
  char text[16];
  TRY(decode(part, false, text, sizeof text, what));
  char *end = NULL;
  errno = 0;
  long value = strtol(text, &end, 10);
  if (!isdigit((unsigned char)text[0]) || *end != '\0' || errno != 0 || value < min ||
      value > max) {
    return fail_field(BAD_INPUT, "redis",
                      "%s in the Redis URL is not a number of %ld..%ld (write the characters "
                      "/ ? # @ : of a name or password percent-encoded)",
                      what, min, max);
  }
  *out = (int)value;
  return OK;
}

/* [user]:password, or a password alone. */
static enum status read_login(struct part login, struct redis_url *out) {
  const char *end = login.text + login.length;
  const char *colon = memchr(login.text, ':', login.length);
  if (colon == NULL) {
    return decode(login, false, out->password, sizeof out->password, "the password");
  }
  TRY(decode(until(login.text, colon), false, out->user, sizeof out->user, "the user"));
  return decode(until(colon + 1, end), false, out->password, sizeof out->password, "the password");
}

/* ---- ?name=value&name=value -------------------------------------------------------------------*/

/* Decoded twice, because redis-py does so. */
static enum status query_text(struct part value, char *to, size_t size, const char *what) {
  char once[REDIS_PASSWORD_BYTES_MAX];
  TRY(decode(value, true, once, sizeof once, what));
  return decode((struct part){once, strlen(once)}, false, to, size, what);
}

static enum status query_user(struct part value, struct redis_url *out) {
  return query_text(value, out->user, sizeof out->user, "the user");
}

static enum status query_password(struct part value, struct redis_url *out) {
  return query_text(value, out->password, sizeof out->password, "the password");
}

static enum status query_database(struct part value, struct redis_url *out) {
  return read_number(value, 0, DATABASE_MAX, "the database", &out->database);
}

static const struct {
  const char *name;
  enum status (*read)(struct part value, struct redis_url *out);
} queries[] = {{"db", query_database}, {"username", query_user}, {"password", query_password}};
enum { QUERIES = sizeof queries / sizeof queries[0] };

/* What other clients may be told here (time limits, certificates) would have no effect: better
 * refused than left out in silence. */
static enum status read_query(const char *query, struct redis_url *out) {
  while (*query != '\0') {
    const char *end = query + strcspn(query, "&");
    const char *equals = memchr(query, '=', (size_t)(end - query));
    size_t length = (size_t)((equals != NULL ? equals : end) - query), at = 0;
    while (at < QUERIES &&
           (strlen(queries[at].name) != length || strncmp(queries[at].name, query, length) != 0)) {
      at++;
    }
    if (length > 0 && (at == QUERIES || equals == NULL)) {
      return fail_field(BAD_INPUT, "redis",
                        "the Redis URL may say db=, username= and password= after its '?', and "
                        "nothing else");
    }
    if (length > 0 && end > equals + 1) { /* an empty value is none */
      TRY(queries[at].read(until(equals + 1, end), out));
    }
    query = end + (*end == '&');
  }
  return OK;
}

/* ---- the forms --------------------------------------------------------------------------------*/

/* Up to the path stands the login, as in unix://:password@/run/redis.sock. */
static enum status read_unix(struct part place, struct redis_url *out) {
  const char *end = place.text + place.length;
  const char *slash = memchr(place.text, '/', place.length);
  const char *before = slash != NULL ? slash : end;
  const char *at = memrchr(place.text, '@', (size_t)(before - place.text));
  if (at != NULL) {
    TRY(read_login(until(place.text, at), out));
  }
  if (slash == NULL || before != (at != NULL ? at + 1 : place.text)) {
    return fail_field(BAD_INPUT, "redis",
                      "the Redis URL needs an absolute path: unix:///path/to.sock");
  }
  return decode(until(slash, end), false, out->path, sizeof out->path, "the path");
}

/* [host][:port], the host of an IPv6 address in brackets. */
static enum status read_place(struct part place, struct redis_url *out) {
  const char *end = place.text + place.length;
  const char *colon = memrchr(place.text, ':', place.length);
  struct part host = until(place.text, colon != NULL ? colon : end);
  if (place.length > 0 && place.text[0] == '[') {
    const char *bracket = memchr(place.text, ']', place.length);
    if (bracket == NULL || (bracket + 1 != end && bracket[1] != ':')) {
      return fail_field(BAD_INPUT, "redis", "the Redis URL has a '[' without its ']'");
    }
    host = until(place.text + 1, bracket);
    colon = bracket + 1 != end ? bracket + 1 : NULL;
  } else if (colon != NULL && memchr(place.text, ':', (size_t)(colon - place.text)) != NULL) {
    return fail_field(BAD_INPUT, "redis",
                      "an IPv6 address in the Redis URL stands in brackets: redis://[::1]:6379");
  }
  out->port = PORT_STANDARD;
  if (colon != NULL && colon + 1 < end) {
    TRY(read_number(until(colon + 1, end), 1, PORT_MAX, "the port", &out->port));
  }
  if (host.length == 0) {
    host = (struct part){host_standard, strlen(host_standard)};
  }
  return decode(host, false, out->host, sizeof out->host, "the host");
}

/* The last '@' ends the login, so a password may hold one, and a '/', as redis-cli takes it. */
static enum status read_tcp(struct part place, bool query_says_database, struct redis_url *out) {
  const char *end = place.text + place.length, *from = place.text;
  const char *at = memrchr(from, '@', place.length);
  if (at != NULL) {
    TRY(read_login(until(from, at), out));
    from = at + 1;
  }
  const char *slash = memchr(from, '/', (size_t)(end - from));
  TRY(read_place(until(from, slash != NULL ? slash : end), out));
  if (slash == NULL || slash + 1 == end) {
    return OK;
  }
  int database = 0;
  TRY(read_number(until(slash + 1, end), 0, DATABASE_MAX, "the database", &database));
  out->database = query_says_database ? out->database : database;
  return OK;
}

static enum status read_after_scheme(const char *text, bool is_unix, struct redis_url *out) {
  const char *query = strchr(text, '?');
  struct part place = {text, query != NULL ? (size_t)(query - text) : strlen(text)};
  const char *rest = query != NULL ? query + 1 : "";
  out->database = -1;
  TRY(read_query(rest, out));
  bool said = out->database >= 0;
  out->database = said ? out->database : 0;
  return is_unix ? read_unix(place, out) : read_tcp(place, said, out);
}

enum status redis_url_parse(const char *text, struct redis_url *out) {
  struct redis_url url = {0};
  for (const char *at = text; *at != '\0'; at++) {
    if ((unsigned char)*at <= ' ') {
      return fail_field(BAD_INPUT, "redis", "the Redis URL has a blank or control character");
    }
  }
  if (strncasecmp(text, "rediss://", 9) == 0) {
    return fail_field(BAD_INPUT, "redis",
                      "rediss:// is Redis over TLS, which this program does not speak: use a unix "
                      "socket, a closed network, or redis:// to a TLS sidecar");
  }
  bool is_unix = strncasecmp(text, "unix://", 7) == 0;
  if (!is_unix && strncasecmp(text, "redis://", 8) != 0) {
    return fail_field(BAD_INPUT, "redis", "the Redis URL must begin with redis:// or unix://");
  }
  TRY(read_after_scheme(text + (is_unix ? 7 : 8), is_unix, &url));
  *out = url;
  return OK;
}
