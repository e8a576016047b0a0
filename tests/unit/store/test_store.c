/* test_store.c - the contract of stores, held by every scheme: file always, s3 when
 * DARKROOM_TEST_S3 names a bucket (the stories of tests/s3 set it, with the keys beside it). */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>
#undef fail /* cmocka has a macro of this name */

#include <curl/curl.h>

#include "store/store.h"

static char folder[] = "/tmp/darkroom-store-XXXXXX";
static char file_url[128];

static const char *url_of(const struct store_scheme *scheme) {
  return strcmp(scheme->name, "file") == 0 ? file_url : getenv("DARKROOM_TEST_S3");
}

static void put(struct store *store, const char *key, const char *text) {
  struct store_object object = {key, "text/plain", text, strlen(text)};
  assert_int_equal(store_put(store, &object), OK);
}

/* What is at the URL that the store gives for the key, read by other hands: OK and the content, or
 * how it is missing. */
static enum status read_at(struct store *store, const char *key, struct bytes *content) {
  struct bytes url;
  bytes_open(&url, 4096);
  bytes_clear(content);
  assert_int_equal(store_locate(store, key, &url), OK);
  enum status status = OK;
  if (strncmp(bytes_text(&url), "file://", 7) == 0) {
    status = bytes_read_file(content, bytes_text(&url) + 7);
  } else {
    struct s3_settings settings = {0};
    struct s3 *s3 = NULL;
    char bucket[S3_BUCKET_BYTES_MAX + 1];
    char whole[128];
    struct s3_exchange get = {.operation = "get", .method = "GET", .body = content};
    assert_int_equal(s3_url_split(bytes_text(&url), bucket, &get.key), OK);
    snprintf(whole, sizeof whole, "s3://%s", bucket);
    assert_int_equal(s3_open(whole, &settings, &s3), OK);
    status = s3_request(s3, &get);
    s3_close(&s3);
  }
  bytes_close(&url);
  return status;
}

static void holds_the_contract(const struct store_scheme *scheme) {
  struct store_settings settings = {.url = url_of(scheme)};
  struct store *store = NULL;
  assert_int_equal(store_open(&settings, &store), OK);
  assert_int_equal(store_check(store, "w.1"), OK);
  struct bytes content;
  bytes_open(&content, 1 << 20);
  const char *key = "default/job.1/7/0.png";
  assert_int_equal(store_remove(store, key), OK); /* not there is fine */
  assert_int_not_equal(read_at(store, key, &content), OK);
  put(store, key, "one");
  put(store, key, "one"); /* the same again is fine */
  assert_int_equal(read_at(store, key, &content), OK);
  assert_string_equal(bytes_text(&content), "one");
  put(store, key, "two, longer");
  assert_int_equal(read_at(store, key, &content), OK);
  assert_string_equal(bytes_text(&content), "two, longer");
  put(store, "default/job.1/7/empty", "");
  struct bytes url;
  bytes_open(&url, 4096);
  assert_int_equal(store_locate(store, key, &url), OK);
  assert_memory_equal(bytes_text(&url), settings.url, strlen(settings.url));
  assert_string_equal(bytes_text(&url) + url.length - strlen(key), key);
  assert_int_equal(store_remove(store, key), OK);
  assert_int_not_equal(read_at(store, key, &content), OK);
  assert_int_equal(store_remove(store, "default/job.1/7/empty"), OK);
  bytes_close(&url);
  bytes_close(&content);
  store_close(&store);
  assert_null(store);
}

static void every_scheme_holds_the_contract(void **state) {
  (void)state;
  int tried = 0;
  for (size_t i = 0; store_scheme(i) != NULL; i++) {
    if (url_of(store_scheme(i)) != NULL) {
      holds_the_contract(store_scheme(i));
      tried++;
    }
  }
  assert_true(tried >= 1);
}

static void every_row_is_whole(void **state) {
  (void)state;
  for (size_t i = 0; store_scheme(i) != NULL; i++) {
    const struct store_scheme *row = store_scheme(i);
    assert_true(row->name != NULL && row->help != NULL && row->open != NULL && row->close != NULL);
    assert_true(row->put != NULL && row->remove != NULL && row->locate != NULL);
  }
}

static void keys_cannot_leave_their_place(void **state) {
  (void)state;
  struct store_settings settings = {.url = file_url};
  struct store *store = NULL;
  assert_int_equal(store_open(&settings, &store), OK);
  const char *const keys[] = {"", "/a", "a/", "a//b", "../a", "a/../b", "a/..", ".", "a/./b"};
  for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++) {
    struct store_object object = {keys[i], "text/plain", "x", 1};
    assert_int_equal(store_put(store, &object), BAD_INPUT);
    assert_int_equal(store_remove(store, keys[i]), BAD_INPUT);
  }
  char long_key[STORE_KEY_BYTES_MAX + 2];
  memset(long_key, 'a', sizeof long_key - 1);
  long_key[sizeof long_key - 1] = '\0';
  struct store_object object = {long_key, "text/plain", "x", 1};
  assert_int_equal(store_put(store, &object), BAD_INPUT);
  store_close(&store);
}

static void wrong_urls_are_named(void **state) {
  (void)state;
  unsetenv("AWS_ACCESS_KEY_ID");
  const char *const urls[] = {"",      "/folder", "ftp://x",    "file://relative",
                              "s3://", "s3://ab", "s3://a b/c", "s3://bucket/x"};
  for (size_t i = 0; i < sizeof urls / sizeof urls[0]; i++) {
    struct store_settings settings = {.url = urls[i]};
    struct store *store = NULL;
    assert_int_equal(store_open(&settings, &store), BAD_INPUT);
    assert_string_equal(fail_field_name(), "store");
  }
}

static void a_folder_that_cannot_be_written_refuses(void **state) {
  (void)state;
  char url[160];
  snprintf(url, sizeof url, "%s/file/below", file_url);
  char path[160];
  snprintf(path, sizeof path, "%s/file", folder);
  FILE *file = fopen(path, "we");
  assert_non_null(file);
  fclose(file);
  struct store_settings settings = {.url = url};
  struct store *store = NULL;
  assert_int_equal(store_open(&settings, &store), OK);
  assert_int_equal(store_check(store, "w.1"), BAD_INPUT);
  struct store_object object = {"a", "text/plain", "x", 1};
  assert_int_equal(store_put(store, &object), BAD_INPUT);
  store_close(&store);
  unlink(path);
}

static int make_folder(void **state) {
  (void)state;
  curl_global_init(CURL_GLOBAL_DEFAULT);
  if (mkdtemp(folder) == NULL) {
    return -1;
  }
  snprintf(file_url, sizeof file_url, "file://%s", folder);
  return 0;
}

static int remove_folder(void **state) {
  (void)state;
  static const char *const made[] = {"default/job.1/7", "default/job.1", "default", ""};
  for (size_t i = 0; i < sizeof made / sizeof made[0]; i++) {
    char path[256];
    snprintf(path, sizeof path, "%s/%s", folder, made[i]);
    rmdir(path);
  }
  curl_global_cleanup();
  return 0;
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(every_scheme_holds_the_contract),
      cmocka_unit_test(every_row_is_whole),
      cmocka_unit_test(keys_cannot_leave_their_place),
      cmocka_unit_test(wrong_urls_are_named),
      cmocka_unit_test(a_folder_that_cannot_be_written_refuses),
  };
  return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
