/* test_sigv4.c - the published AWS vectors (tests/unit/s3/vectors) and S3's own path rules. */
#include <jansson.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>
#undef fail /* cmocka has a macro of this name */

#include "s3/digest.h"
#include "s3/sigv4.h"

#define VECTORS "tests/unit/s3/vectors/vectors.json"
enum { VECTOR_COUNT = 38, NORMALISED_COUNT = 6 };

struct vector {
  json_t *content; /* the vector's object in the file */
  json_t *context;
  struct bytes request_text;
  struct sigv4_pair query[SIGV4_PAIRS_MAX];
  struct sigv4_pair headers[SIGV4_PAIRS_MAX];
  struct sigv4_identity identity;
  struct sigv4_request request;
  char payload[SHA256_TEXT_MAX];
  char date[SIGV4_DATE_TEXT_MAX];
};

static const char *member(json_t *object, const char *name) {
  return json_string_value(json_object_get(object, name));
}

/* One of the vector's texts without the line ends behind it. */
static struct bytes read_text(const struct vector *vector, const char *name) {
  struct bytes text;
  bytes_open(&text, 1 << 20);
  assert_non_null(member(vector->content, name));
  assert_int_equal(bytes_append_text(&text, member(vector->content, name)), OK);
  while (text.length > 0 && text.data[text.length - 1] == '\n') {
    text.data[--text.length] = '\0';
  }
  return text;
}

static void decode_percent(char *text) {
  char *to = text;
  for (; *text != '\0'; text++) {
    unsigned code = 0;
    if (*text == '%' && sscanf(text + 1, "%2x", &code) == 1) {
      *to++ = (char)code;
      text += 2;
    } else {
      *to++ = *text;
    }
  }
  *to = '\0';
}

static void parse_target(struct vector *vector, char *target) {
  char *query = strchr(target, '?');
  if (query != NULL) {
    *query++ = '\0';
  }
  while (query != NULL && *query != '\0') {
    char *name = strsep(&query, "&");
    char *value = strchr(name, '=');
    if (value != NULL) {
      *value++ = '\0';
      decode_percent(value);
    }
    decode_percent(name);
    vector->query[vector->request.query_count++] = (struct sigv4_pair){name, value};
  }
  decode_percent(target);
  vector->request.path = target;
}

/* A line that begins with a blank goes on with the header before it: the line end between them
 * stays in the value. */
static const char *parse_headers(struct vector *vector, char *text) {
  while (text != NULL && *text != '\0' && *text != '\n') {
    char *end = strchr(text, '\n');
    while (end != NULL && end[1] == ' ') {
      end = strchr(end + 1, '\n');
    }
    char *next = end == NULL ? NULL : end + 1;
    if (end != NULL) {
      *end = '\0';
    }
    char *value = strchr(text, ':');
    assert_non_null(value);
    *value++ = '\0';
    vector->headers[vector->request.header_count++] = (struct sigv4_pair){text, value};
    text = next;
  }
  return text == NULL || *text == '\0' ? "" : text + 1;
}

static void parse_context(struct vector *vector) {
  json_t *credentials = json_object_get(vector->context, "credentials");
  vector->identity = (struct sigv4_identity){
      .access_key = member(credentials, "access_key_id"),
      .secret_key = member(credentials, "secret_access_key"),
      .session_token = member(credentials, "token"),
      .region = member(vector->context, "region"),
      .service = member(vector->context, "service"),
  };
  struct tm parts = {0};
  assert_non_null(strptime(member(vector->context, "timestamp"), "%Y-%m-%dT%H:%M:%SZ", &parts));
  vector->request.wall_ms = (int64_t)timegm(&parts) * 1000;
}

static void vector_open(struct vector *vector, json_t *content) {
  memset(vector, 0, sizeof *vector);
  vector->content = content;
  vector->context = json_object_get(content, "context");
  parse_context(vector);
  vector->request_text = read_text(vector, "request");
  char *text = (char *)vector->request_text.data;
  char *line = strsep(&text, "\n");
  vector->request.method = strsep(&line, " ");
  char *end = strstr(line, " HTTP/1.1");
  assert_non_null(end);
  *end = '\0';
  parse_target(vector, line);
  const char *body = parse_headers(vector, text);
  assert_int_equal(digest_sha256_text(body, strlen(body), vector->payload), OK);
  vector->request.payload_sha256 = vector->payload;
  vector->request.query = vector->query;
  vector->request.headers = vector->headers;
}

static void vector_close(struct vector *vector) { bytes_close(&vector->request_text); }

static void add_header(struct vector *vector, const char *name, const char *value) {
  vector->headers[vector->request.header_count++] = (struct sigv4_pair){name, value};
}

static void check_header_form(json_t *content) {
  struct vector vector;
  vector_open(&vector, content);
  sigv4_date(vector.request.wall_ms, vector.date);
  add_header(&vector, "X-Amz-Date", vector.date);
  if (json_is_true(json_object_get(vector.context, "sign_body"))) {
    add_header(&vector, "x-amz-content-sha256", vector.payload);
  }
  bool omitted = json_is_true(json_object_get(vector.context, "omit_session_token"));
  if (vector.identity.session_token != NULL && !omitted) {
    add_header(&vector, "X-Amz-Security-Token", vector.identity.session_token);
  }
  struct bytes made;
  bytes_open(&made, SIGV4_TEXT_BYTES_MAX);
  struct bytes wanted = read_text(&vector, "header_canonical_request");
  assert_int_equal(sigv4_canonical(&vector.request, &made), OK);
  assert_string_equal(bytes_text(&made), bytes_text(&wanted));
  bytes_close(&wanted);
  bytes_clear(&made);
  wanted = read_text(&vector, "header_signature");
  assert_int_equal(sigv4_authorize(&vector.request, &vector.identity, &made), OK);
  assert_string_equal(strstr(bytes_text(&made), "Signature=") + strlen("Signature="),
                      bytes_text(&wanted));
  bytes_close(&wanted);
  bytes_close(&made);
  vector_close(&vector);
}

/* Dot segments and double slashes are part of an S3 key: these cases ask for what S3 must not do.
 */
static bool asks_for_normalising(const char *name) {
  const char *ending = strstr(name, "-normalized");
  return ending != NULL && strcmp(name, "get-space-normalized") != 0;
}

static void the_published_vectors_sign_alike(void **state) {
  (void)state;
  json_t *vectors = json_load_file(VECTORS, 0, NULL);
  assert_non_null(vectors);
  size_t seen = 0;
  int passed_over = 0;
  json_t *content = NULL;
  json_array_foreach(vectors, seen, content) {
    if (asks_for_normalising(member(content, "name"))) {
      passed_over++;
      continue;
    }
    check_header_form(content);
  }
  json_decref(vectors);
  assert_int_equal(seen, VECTOR_COUNT);
  assert_int_equal(passed_over, NORMALISED_COUNT);
}

static void a_key_is_encoded_once_and_never_normalised(void **state) {
  (void)state;
  struct bytes text;
  bytes_open(&text, 4096);
  assert_int_equal(sigv4_encode("/bucket/a b/../c//d+e=f?\xc3\xa9~", SIGV4_KEEP_SLASH, &text), OK);
  assert_string_equal(bytes_text(&text), "/bucket/a%20b/../c//d%2Be%3Df%3F%C3%A9~");
  bytes_clear(&text);
  assert_int_equal(sigv4_encode("a/b", 0, &text), OK);
  assert_string_equal(bytes_text(&text), "a%2Fb");
  bytes_close(&text);
}

static void a_query_is_sorted_encoded(void **state) {
  (void)state;
  const struct sigv4_pair pairs[] = {
      {"b", "2"}, {"a", "2"}, {"a", "1"}, {"uploads", NULL}, {"A", ""}};
  struct bytes text;
  bytes_open(&text, 4096);
  assert_int_equal(sigv4_query(pairs, sizeof pairs / sizeof pairs[0], &text), OK);
  assert_string_equal(bytes_text(&text), "A=&a=1&a=2&b=2&uploads=");
  bytes_close(&text);
}

static void too_much_is_refused(void **state) {
  (void)state;
  struct sigv4_pair pairs[SIGV4_PAIRS_MAX + 1];
  for (size_t i = 0; i <= SIGV4_PAIRS_MAX; i++) {
    pairs[i] = (struct sigv4_pair){"n", "v"};
  }
  struct bytes text;
  bytes_open(&text, 4096);
  assert_int_equal(sigv4_query(pairs, SIGV4_PAIRS_MAX + 1, &text), BAD_INPUT);
  struct sigv4_identity identity = {"k", "s", NULL, "us-east-1", "s3"};
  struct sigv4_request request = {
      .method = "GET", .path = "/", .headers = pairs, .header_count = 1, .payload_sha256 = "x"};
  request.query = pairs;
  request.query_count = SIGV4_PAIRS_MAX + 1;
  assert_int_equal(sigv4_authorize(&request, &identity, &text), BAD_INPUT);
  request.header_count = SIGV4_PAIRS_MAX + 1;
  request.query_count = 0;
  assert_int_equal(sigv4_authorize(&request, &identity, &text), BAD_INPUT);
  bytes_close(&text);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(the_published_vectors_sign_alike),
      cmocka_unit_test(a_key_is_encoded_once_and_never_normalised),
      cmocka_unit_test(a_query_is_sorted_encoded),
      cmocka_unit_test(too_much_is_refused),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
