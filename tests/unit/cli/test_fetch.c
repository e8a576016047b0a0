/* test_fetch.c - copies that are whole, checked and named, or not made at all. */
#include <fcntl.h>
#include <ftw.h>
#include <limits.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>
#undef fail /* cmocka has a macro of this name */

#include "base/bytes.h"
#include "base/clock.h"
#include "cli/fetch.h"
#include "tests/unit/s3/canned_server.h"

#define SHA_OF_ABC "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"

static char folder[64];
static struct bytes named; /* what fetch_images printed */
static struct options options = {.patience_ms = 600, .quiet = true};

static int set_up(void **state) {
  (void)state;
  snprintf(folder, sizeof folder, "/tmp/darkroom-test-fetch-XXXXXX");
  bytes_open(&named, 1 << 16);
  return mkdtemp(folder) != NULL ? 0 : -1;
}

static int remove_one(const char *path, const struct stat *found, int kind, struct FTW *place) {
  (void)found;
  (void)kind;
  (void)place;
  return remove(path);
}

static int tear_down(void **state) {
  (void)state;
  bytes_close(&named);
  return nftw(folder, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

static const char *in(const char *name) {
  static char path[8][PATH_MAX];
  static int next;
  char *here = path[next++ % 8];
  snprintf(here, PATH_MAX, "%s/%s", folder, name);
  return here;
}

static void write_file(const char *path, const char *text) {
  FILE *file = fopen(path, "w");
  assert_non_null(file);
  fputs(text, file);
  fclose(file);
}

static void has_content(const char *path, const char *text) {
  struct bytes content;
  bytes_open(&content, 1000);
  assert_int_equal(bytes_read_file(&content, path), OK);
  assert_string_equal(bytes_text(&content), text);
  bytes_close(&content);
}

static int files_in_folder(void) {
  char command[128];
  snprintf(command, sizeof command, "ls -A %s | wc -l", folder);
  FILE *pipe = popen(command, "r");
  char text[16] = "";
  assert_non_null(fgets(text, sizeof text, pipe));
  pclose(pipe);
  return (int)strtol(text, NULL, 10);
}

/* One image of this URL, with the size and hash of "abc". */
static enum exit_code fetch(const char *url, const char *output) {
  Darkroom__V1__Artifact image = DARKROOM__V1__ARTIFACT__INIT;
  Darkroom__V1__Artifact *images[] = {&image};
  Darkroom__V1__JobStatus status = DARKROOM__V1__JOB_STATUS__INIT;
  image.url = (char *)url;
  image.sha256 = (char *)SHA_OF_ABC;
  image.has_bytes = 1;
  image.bytes = 3;
  status.id = (char *)"j";
  status.n_images = 1;
  status.images = images;
  FILE *paths = tmpfile();
  assert_non_null(paths);
  options.output = output;
  enum exit_code code = fetch_images(&status, &options, paths);
  char text[PATH_MAX] = "";
  rewind(paths);
  size_t bytes = fread(text, 1, sizeof text - 1, paths);
  fclose(paths);
  bytes_clear(&named);
  assert_int_equal(bytes_append(&named, text, bytes), OK);
  return code;
}

static const char *url_of(const char *path) {
  static char url[PATH_MAX + 16];
  snprintf(url, sizeof url, "file://%s", path);
  return url;
}

static void test_to_a_file(void **state) {
  (void)state;
  write_file(in("stored"), "abc");
  assert_int_equal(fetch(url_of(in("stored")), in("out.png")), EXIT_CODE_OK);
  has_content(in("out.png"), "abc");
  write_file(in("out.png"), "what was there before is replaced");
  assert_int_equal(fetch(url_of(in("stored")), in("out.png")), EXIT_CODE_OK);
  has_content(in("out.png"), "abc");
  assert_int_equal(files_in_folder(), 2);
}

/* What stood there before stays whole until the new one is, for whoever has it open or linked. */
static void test_what_was_there_is_replaced_and_not_overwritten(void **state) {
  (void)state;
  write_file(in("stored"), "abc");
  write_file(in("out.png"), "before");
  assert_int_equal(link(in("out.png"), in("other-name.png")), 0);
  assert_int_equal(fetch(url_of(in("stored")), in("out.png")), EXIT_CODE_OK);
  has_content(in("out.png"), "abc");
  has_content(in("other-name.png"), "before");
  assert_int_equal(files_in_folder(), 3);
}

static void test_what_does_not_fit_leaves_nothing(void **state) {
  (void)state;
  write_file(in("stored"), "abc");
  struct rlimit before;
  assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
  struct rlimit small = {.rlim_cur = 1, .rlim_max = before.rlim_max};
  signal(SIGXFSZ, SIG_IGN);
  options.output = in("out.png");
  Darkroom__V1__Artifact image = DARKROOM__V1__ARTIFACT__INIT, *images[] = {&image};
  Darkroom__V1__JobStatus status = DARKROOM__V1__JOB_STATUS__INIT;
  image.url = (char *)url_of(in("stored"));
  status.n_images = 1;
  status.images = images;
  assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
  enum exit_code code = fetch_images(&status, &options, stdout);
  assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
  assert_int_equal(code, EXIT_CODE_CANNOT_WRITE);
  assert_int_equal(files_in_folder(), 1);
}

static void test_links_and_devices_stay(void **state) {
  (void)state;
  struct stat found;
  write_file(in("stored"), "abc");
  assert_int_equal(symlink(in("target"), in("link.png")), 0);
  assert_int_equal(fetch(url_of(in("stored")), in("link.png")), EXIT_CODE_OK);
  has_content(in("target"), "abc");
  assert_int_equal(lstat(in("link.png"), &found), 0);
  assert_true(S_ISLNK(found.st_mode));
  assert_int_equal(symlink("/dev/null", in("null.png")), 0);
  assert_int_equal(fetch(url_of(in("stored")), in("null.png")), EXIT_CODE_OK);
  assert_int_equal(stat("/dev/null", &found), 0);
  assert_true(S_ISCHR(found.st_mode));
  assert_int_equal(symlink("/dev/full", in("full.png")), 0);
  assert_int_equal(fetch(url_of(in("stored")), in("full.png")), EXIT_CODE_CANNOT_WRITE);
}

static void test_to_a_folder(void **state) {
  (void)state;
  write_file(in("stored"), "abc");
  assert_int_equal(fetch(url_of(in("stored")), folder), EXIT_CODE_OK);
  has_content(in("j-0.png"), "abc");
  assert_int_equal(fetch_check(in("new/"), 3), EXIT_CODE_OK);
  assert_int_equal(fetch(url_of(in("stored")), in("new/")), EXIT_CODE_OK);
  has_content(in("new/j-0.png"), "abc");
}

static void test_escaped_urls(void **state) {
  (void)state;
  write_file(in("a b%"), "abc");
  char url[PATH_MAX];
  snprintf(url, sizeof url, "file://localhost%s/a%%20b%%25", folder);
  assert_int_equal(fetch(url, in("out.png")), EXIT_CODE_OK);
  has_content(in("out.png"), "abc");
  assert_int_equal(fetch(url, NULL), EXIT_CODE_OK);
  assert_non_null(strstr(bytes_text(&named), "/a b%\n"));
}

static void test_damage_leaves_nothing(void **state) {
  (void)state;
  static const char *const damaged[] = {"abd", "ab", "abcd", ""};
  for (size_t i = 0; i < sizeof damaged / sizeof damaged[0]; i++) {
    write_file(in("stored"), damaged[i]);
    assert_int_equal(fetch(url_of(in("stored")), in("out.png")), EXIT_CODE_INTERNAL);
    assert_int_equal(files_in_folder(), 1);
  }
}

static void test_elsewhere(void **state) {
  (void)state;
  static const char *const urls[] = {"s3://bucket",    "s3://b/x",    "file:///nowhere/a.png",
                                     "file://other/a", "https://x/y", ""};
  for (size_t i = 0; i < sizeof urls / sizeof urls[0]; i++) {
    assert_int_equal(fetch(urls[i], in("out.png")), EXIT_CODE_NOT_FETCHED);
    assert_int_equal(strncmp(bytes_text(&named), urls[i], strlen(urls[i])), 0);
    assert_int_equal(files_in_folder(), 0);
  }
}

static void test_from_s3(void **state) {
  (void)state;
  static const char *const answers[] = {CANNED("200 OK", "abc")};
  struct canned_server server;
  canned_open(&server, answers, 1);
  assert_int_equal(fetch("s3://pics/a b/0.png", in("out.png")), EXIT_CODE_OK);
  has_content(in("out.png"), "abc");
  assert_non_null(strstr(bytes_text(&named), "/out.png\n"));
  assert_non_null(strstr(server.head, "GET /pics/a%20b/0.png HTTP/1.1\r\n"));
  assert_non_null(strstr(server.head, "/eu-test-1/s3/aws4_request"));
  canned_close(&server);
}

static void test_s3_refusals(void **state) {
  (void)state;
  static const struct {
    const char *answer;
    enum exit_code code;
    const char *reason;
  } cases[] = {
      {CANNED_ERROR("404 No", "NoSuchKey"), EXIT_CODE_NOT_FETCHED, "does not have it: HTTP 404"},
      {CANNED_ERROR("403 No", "AccessDenied"), EXIT_CODE_NOT_PERMITTED, "HTTP 403 AccessDenied"},
      {CANNED_ERROR("401 No", ""), EXIT_CODE_NOT_PERMITTED, "does not take these credentials"},
      {CANNED_ERROR("400 No", "AuthorizationHeaderMalformed"), EXIT_CODE_NOT_PERMITTED,
       "refuses the request: HTTP 400"},
      {CANNED("200 OK", "abd"), EXIT_CODE_INTERNAL, "not what was stored"},
      {CANNED_ERROR("500 No", "InternalError"), EXIT_CODE_IO, "HTTP 500 InternalError"},
  };
  for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
    struct canned_server server;
    canned_open(&server, &cases[i].answer, 1);
    assert_int_equal(fetch("s3://pics/0.png", in("out.png")), cases[i].code);
    assert_non_null(strstr(fail_reason(), cases[i].reason));
    assert_int_equal(files_in_folder(), 0);
    bool repeated = cases[i].code == EXIT_CODE_IO;
    assert_true(repeated == (atomic_load(&server.requests) > 1));
    canned_close(&server);
  }
}

static void test_s3_needs_keys(void **state) {
  (void)state;
  setenv("AWS_ACCESS_KEY_ID", "key", 1);
  unsetenv("AWS_SECRET_ACCESS_KEY");
  assert_int_equal(fetch("s3://pics/0.png", in("out.png")), EXIT_CODE_NOT_PERMITTED);
  assert_non_null(strstr(fail_reason(), "AWS_SECRET_ACCESS_KEY is not set"));
  assert_string_equal(bytes_text(&named), "s3://pics/0.png\n");
  setenv("AWS_SECRET_ACCESS_KEY", "secret", 1);
  setenv("AWS_ENDPOINT_URL_S3", "not an endpoint", 1);
  assert_int_equal(fetch("s3://pics/0.png", in("out.png")), EXIT_CODE_NOT_PERMITTED);
  assert_int_equal(files_in_folder(), 0);
}

static void test_an_s3_that_comes_back(void **state) {
  (void)state;
  static const char *const answers[] = {NULL, CANNED_ERROR("503 No", "SlowDown"),
                                        CANNED("200 OK", "abc")};
  struct canned_server server;
  canned_open(&server, answers, 3);
  options.patience_ms = 30000;
  assert_int_equal(fetch("s3://pics/0.png", in("out.png")), EXIT_CODE_OK);
  options.patience_ms = 600;
  has_content(in("out.png"), "abc");
  canned_close(&server);
  int64_t begun_ms = clock_ms();
  assert_int_equal(fetch("s3://pics/0.png", in("out.png")), EXIT_CODE_IO);
  assert_true(clock_ms() - begun_ms < 5000);
  assert_non_null(strstr(fail_reason(), "the store is away: s3 get: "));
  has_content(in("out.png"), "abc"); /* what was there before stays */
}

static void test_check(void **state) {
  (void)state;
  assert_int_equal(fetch_check(NULL, 64), EXIT_CODE_OK);
  assert_int_equal(fetch_check("-", 1), EXIT_CODE_OK);
  assert_int_equal(fetch_check("-", 2), EXIT_CODE_USAGE);
  assert_int_equal(fetch_check(in("x.png"), 1), EXIT_CODE_OK);
  assert_int_equal(fetch_check(in("x.png"), 2), EXIT_CODE_USAGE);
  assert_int_equal(fetch_check("/nowhere/x.png", 1), EXIT_CODE_CANNOT_WRITE);
  assert_int_equal(fetch_check("/nowhere/at/all/", 2), EXIT_CODE_CANNOT_WRITE);
  assert_int_equal(files_in_folder(), 0);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup_teardown(test_to_a_file, set_up, tear_down),
      cmocka_unit_test_setup_teardown(test_what_was_there_is_replaced_and_not_overwritten, set_up,
                                      tear_down),
      cmocka_unit_test_setup_teardown(test_what_does_not_fit_leaves_nothing, set_up, tear_down),
      cmocka_unit_test_setup_teardown(test_links_and_devices_stay, set_up, tear_down),
      cmocka_unit_test_setup_teardown(test_to_a_folder, set_up, tear_down),
      cmocka_unit_test_setup_teardown(test_escaped_urls, set_up, tear_down),
      cmocka_unit_test_setup_teardown(test_damage_leaves_nothing, set_up, tear_down),
      cmocka_unit_test_setup_teardown(test_elsewhere, set_up, tear_down),
      cmocka_unit_test_setup_teardown(test_from_s3, set_up, tear_down),
      cmocka_unit_test_setup_teardown(test_s3_refusals, set_up, tear_down),
      cmocka_unit_test_setup_teardown(test_s3_needs_keys, set_up, tear_down),
      cmocka_unit_test_setup_teardown(test_an_s3_that_comes_back, set_up, tear_down),
      cmocka_unit_test_setup_teardown(test_check, set_up, tear_down),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
