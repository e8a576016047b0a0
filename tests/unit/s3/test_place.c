/* test_place.c - where requests go, and what is no S3 URL. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#undef fail /* cmocka has a macro of this name */

#include "s3/place.h"

struct place_case {
  const char *url, *endpoint, *region;
  enum s3_addressing addressing;
  const char *host, *path; /* of the key "k" */
};

static void requests_go_where_they_should(void **state) {
  (void)state;
  static const struct place_case cases[] = {
      {"s3://pics/a/", NULL, NULL, S3_ADDRESSING_AUTO, "pics.s3.us-east-1.amazonaws.com", "/a/k"},
      {"s3://pics", NULL, "eu-west-1", S3_ADDRESSING_PATH, "s3.eu-west-1.amazonaws.com", "/pics/k"},
      {"s3://my.pics", NULL, NULL, S3_ADDRESSING_AUTO, "s3.us-east-1.amazonaws.com", "/my.pics/k"},
      {"s3://pics/a//", "http://127.0.0.1:9000", NULL, S3_ADDRESSING_AUTO, "127.0.0.1:9000",
       "/pics/a/k"},
      {"s3://pics", "https://store.example:443/base/", NULL, S3_ADDRESSING_AUTO, "store.example",
       "/base/pics/k"},
      {"s3://pics", "http://s3.local:80", NULL, S3_ADDRESSING_VIRTUAL, "pics.s3.local", "/k"},
  };
  setenv("AWS_ACCESS_KEY_ID", "key", 1);
  setenv("AWS_SECRET_ACCESS_KEY", "secret", 1);
  unsetenv("AWS_ENDPOINT_URL");
  unsetenv("AWS_DEFAULT_REGION");
  for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
    cases[i].endpoint != NULL ? setenv("AWS_ENDPOINT_URL_S3", cases[i].endpoint, 1)
                              : unsetenv("AWS_ENDPOINT_URL_S3");
    cases[i].region != NULL ? setenv("AWS_REGION", cases[i].region, 1) : unsetenv("AWS_REGION");
    struct s3_place place;
    assert_int_equal(s3_place_read(cases[i].url, cases[i].addressing, &place), OK);
    assert_string_equal(place.host, cases[i].host);
    struct bytes path;
    bytes_open(&path, 4096);
    assert_int_equal(s3_place_path(&place, "k", &path), OK);
    assert_string_equal(bytes_text(&path), cases[i].path);
    bytes_close(&path);
  }
}

static void what_is_no_endpoint_is_named(void **state) {
  (void)state;
  struct s3_place place = {.bucket = "as it was"};
  static const char *const endpoints[] = {"ftp://x", "nowhere at all", "http://"};
  for (size_t i = 0; i < sizeof endpoints / sizeof endpoints[0]; i++) {
    setenv("AWS_ENDPOINT_URL_S3", endpoints[i], 1);
    assert_int_equal(s3_place_read("s3://pics", S3_ADDRESSING_AUTO, &place), BAD_INPUT);
    assert_string_equal(fail_field_name(), "store");
  }
  assert_string_equal(place.bucket, "as it was");
  unsetenv("AWS_ENDPOINT_URL_S3");
}

/* A learned region moves the host at Amazon, and only there; what cannot be one moves nothing. */
static void a_bucket_moves_to_its_region(void **state) {
  (void)state;
  static const char *const wrong[] = {"", "a.b", "x/y", "EU", "a@b"};
  struct s3_place place;
  setenv("AWS_REGION", "us-east-1", 1);
  assert_int_equal(s3_place_read("s3://pics", S3_ADDRESSING_AUTO, &place), OK);
  assert_int_equal(s3_place_move(&place, "eu-west-1"), OK);
  assert_string_equal(place.host, "pics.s3.eu-west-1.amazonaws.com");
  assert_string_equal(place.region, "eu-west-1");
  assert_int_equal(s3_place_move(&place, "cn-north-1"), OK);
  assert_string_equal(place.host, "pics.s3.cn-north-1.amazonaws.com.cn");
  for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
    assert_int_equal(s3_place_move(&place, wrong[i]), BAD_INPUT);
    assert_string_equal(place.region, "cn-north-1");
  }
  setenv("AWS_ENDPOINT_URL_S3", "http://127.0.0.1:9000", 1);
  assert_int_equal(s3_place_read("s3://pics", S3_ADDRESSING_AUTO, &place), OK);
  assert_int_equal(s3_place_move(&place, "eu-west-1"), OK);
  assert_string_equal(place.host, "127.0.0.1:9000");
  unsetenv("AWS_ENDPOINT_URL_S3");
}

static void urls_come_apart(void **state) {
  (void)state;
  static const struct {
    const char *url, *bucket, *rest;
  } cases[] = {
      {"s3://pics", "pics", ""},
      {"s3://pics/", "pics", ""},
      {"s3://my.pics/a b/+%20/0.png", "my.pics", "a b/+%20/0.png"},
      {"s3://pics//a", "pics", "/a"},
  };
  static const char *const wrong[] = {"",          "s3",           "s3:/pics/a",
                                      "S3://pics", "file:///pics", "s3://",
                                      "s3://ab/x", "s3://a b/x",   "s3:///x"};
  char bucket[S3_BUCKET_BYTES_MAX + 1];
  const char *rest = NULL;
  for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
    assert_int_equal(s3_url_split(cases[i].url, bucket, &rest), OK);
    assert_string_equal(bucket, cases[i].bucket);
    assert_string_equal(rest, cases[i].rest);
  }
  for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
    assert_int_equal(s3_url_split(wrong[i], bucket, &rest), BAD_INPUT);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(requests_go_where_they_should),
      cmocka_unit_test(what_is_no_endpoint_is_named),
      cmocka_unit_test(a_bucket_moves_to_its_region),
      cmocka_unit_test(urls_come_apart),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
