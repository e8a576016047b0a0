/* test_weights.c - every rule of a safetensors file broken once, and taking tensors by name. */
#include "worker/model/weights.h"

#include "base/limits.h"
#include "tests/unit/model/tiny.h"

#define FILE_MAX 4096

/* A file of a header and so many bytes of data. */
struct file {
  uint8_t bytes[FILE_MAX];
  size_t length;
};
static struct file file_of(const char *header, size_t data) {
  struct file file = {.length = 8 + strlen(header) + data};
  assert_true(file.length <= FILE_MAX);
  file.bytes[0] = (uint8_t)strlen(header);
  file.bytes[1] = (uint8_t)(strlen(header) >> 8);
  memcpy(file.bytes + 8, header, strlen(header));
  for (size_t i = 0; i < data; i++) {
    file.bytes[8 + strlen(header) + i] = (uint8_t)i;
  }
  return file;
}
static enum status check(const char *header, size_t data) {
  struct file file = file_of(header, data);
  return weights_check(file.bytes, file.length);
}

#define ENTRY(name, type, shape, begin, end) \
  "\"" name "\":{\"dtype\":\"" type "\",\"shape\":" shape ",\"data_offsets\":[" #begin "," #end "]}"
#define GOOD "{" ENTRY("a", "F32", "[2,3]", 0, 24) "," ENTRY("b", "BF16", "[4]", 24, 32) "}"

static void good_files(void **state) {
  (void)state;
  assert_ok(check(GOOD, 32));
  assert_ok(check(GOOD "     ", 32));
  assert_ok(
      check("{" ENTRY("b", "BF16", "[4]", 24, 32) "," ENTRY("a", "F32", "[2,3]", 0, 24) "}", 32));
  assert_ok(check("{\"__metadata__\":{\"format\":\"pt\"}," ENTRY("s", "I64", "[]", 0, 8) "}", 8));
  assert_ok(check("{}", 0));
}

static void bad_headers(void **state) {
  (void)state;
  struct file file = file_of(GOOD, 32);
  for (size_t length = 0; length < file.length; length++) {
    assert_int_equal(weights_check(file.bytes, length), BAD_INPUT);
    assert_string_equal(fail_field_name(), "weights");
  }
  assert_refused(weights_check(file.bytes, 5), "too few");
  assert_refused(weights_check(file.bytes, 20), "truncated");
  file.bytes[4] = 1; /* a length above 16 MiB */
  assert_refused(weights_check(file.bytes, file.length), "at most 16777216");
  memset(file.bytes, 0xff, 8);
  assert_refused(weights_check(file.bytes, file.length), "at most 16777216");
  assert_refused(check(" " GOOD, 32), "start with '{'");
  assert_refused(check(GOOD "\f", 32), "end with '}'");
  assert_refused(check(GOOD "}", 32), "file");
  assert_refused(check("{\"a\":\"\xff\"}", 0), "unable to decode byte");
  assert_refused(check("{\"a\":[[[[1]]]]}", 0), "nested deeper than 4");
  assert_refused(check("{\"a\":[[[1]]]}", 0), "dtype, shape and data_offsets"); /* 4 may be */
  assert_refused(check("{" ENTRY("a", "U8", "[1]", 0, 1) "," ENTRY("a", "U8", "[1]", 0, 1) "}", 1),
                 "duplicate");
  assert_refused(
      check("{\"a\":{\"dtype\":\"U8\",\"dtype\":\"I8\",\"shape\":[1],\"data_offsets\":[0,1]}}", 1),
      "duplicate");
  assert_refused(check("{\"__metadata__\":{\"x\":1}}", 0), "only strings");
  assert_refused(check("{\"__metadata__\":[]}", 0), "not an object");
}

static void bad_entries(void **state) {
  (void)state;
  assert_refused(check("{\"a\":1}", 0), "dtype, shape and data_offsets");
  assert_refused(check("{\"a\":{\"dtype\":\"U8\",\"shape\":[1]}}", 0), "data_offsets of");
  assert_refused(check("{" ENTRY("a", "F5", "[1]", 0, 1) "}", 1), "dtype F5");
  assert_refused(check("{" ENTRY("a", "F4", "[1]", 0, 1) "}", 1), "whole byte");
  assert_refused(check("{" ENTRY("a", "U8", "1", 0, 1) "}", 1), "must be a list");
  assert_refused(check("{" ENTRY("a", "U8", "[1,1,1,1,1,1,1,1,1]", 0, 1) "}", 1), "at most 8");
  assert_refused(check("{" ENTRY("a", "U8", "[-1]", 0, 1) "}", 1), "natural number");
  assert_refused(check("{" ENTRY("a", "U8", "[1.0]", 0, 1) "}", 1), "natural number");
  assert_refused(check("{" ENTRY("a", "U8", "[99999999999999999999]", 0, 1) "}", 1), "too big");
  assert_refused(check("{" ENTRY("a", "F32", "[4294967296,4294967296]", 0, 0) "}", 0), "overflows");
  assert_refused(check("{" ENTRY("a", "F64", "[2305843009213693952]", 0, 0) "}", 0), "overflows");
  assert_refused(check("{" ENTRY("a", "U8", "[1]", 1, 0) "}", 1), "in order");
  assert_refused(check("{" ENTRY("a", "U8", "[1]", -1, 0) "}", 1), "in order");
  assert_refused(check("{" ENTRY("a", "U8", "[3]", 0, 2) "}", 2), "needs 3 bytes");
  assert_refused(check("{" ENTRY("a", "U8", "[3]", 0, 4) "}", 4), "needs 3 bytes");
}

/* What the reference implementation takes and what it does not, file by file
 * (models/safetensors_compare.py wrote them). */
static void odd_files_as_the_reference_takes_them(void **state) {
  (void)state;
  json_error_t error;
  size_t at = 0, taken = 0;
  json_t *row = NULL;
  json_t *rows = json_load_file(TINY_GOLDENS "/safetensors.json", JSON_REJECT_DUPLICATES, &error);
  assert_true(json_array_size(rows) > 100);
  json_array_foreach(rows, at, row) {
    const char *hex = json_string_value(json_object_get(row, "file"));
    uint8_t bytes[FILE_MAX];
    size_t length = strlen(hex) / 2;
    assert_true(length <= sizeof bytes);
    for (size_t i = 0; i < length; i++) {
      unsigned byte = 0;
      assert_int_equal(sscanf(hex + 2 * i, "%2x", &byte), 1);
      bytes[i] = (uint8_t)byte;
    }
    bool wanted = json_is_true(json_object_get(row, "taken"));
    enum status status = weights_check(bytes, length);
    if (status != (wanted ? OK : BAD_INPUT)) {
      fail_msg("%s: %s: %s", json_string_value(json_object_get(row, "name")), status_name(status),
               status == OK ? "" : fail_reason());
    }
    taken += wanted;
  }
  assert_in_range(taken, 30, json_array_size(rows) - 30);
  json_decref(rows);
}

static void bad_tilings(void **state) {
  (void)state;
  assert_refused(check("{" ENTRY("a", "U8", "[2]", 0, 2) "," ENTRY("b", "U8", "[2]", 1, 3) "}", 3),
                 "overlapping");
  assert_refused(check("{" ENTRY("a", "U8", "[2]", 0, 2) "," ENTRY("b", "U8", "[2]", 0, 2) "}", 2),
                 "overlapping");
  assert_refused(check("{" ENTRY("a", "U8", "[2]", 0, 2) "," ENTRY("b", "U8", "[2]", 3, 5) "}", 5),
                 "hole");
  assert_refused(check("{" ENTRY("a", "U8", "[2]", 1, 3) "}", 3), "hole");
  assert_refused(check("{" ENTRY("a", "U8", "[2]", 0, 2) "}", 1), "truncated");
  assert_refused(check("{" ENTRY("a", "U8", "[2]", 0, 2) "}", 6), "4 bytes after the last tensor");
}

static void pickles(void **state) {
  (void)state;
  static const uint8_t zip[] = "PK\3\4............................",
                       bare[] = "\x80\x02}q\x01.........";
  assert_refused(weights_check(zip, sizeof zip), "zip archive");
  assert_refused(weights_check(bare, sizeof bare), "Python pickle");
  /* a header of 0x0280 bytes begins with a pickle's first two bytes and is none */
  char header[641];
  snprintf(header, sizeof header, "%-640s", "{}");
  assert_ok(check(header, 0));
}

/* ---- files ---- */

static const char *write_file(const struct file *file) {
  static char path[64];
  snprintf(path, sizeof path, "/tmp/darkroom-weights-%d", getpid());
  FILE *out = fopen(path, "wb");
  assert_non_null(out);
  assert_int_equal(fwrite(file->bytes, 1, file->length, out), file->length);
  fclose(out);
  return path;
}

static void taking(void **state) {
  (void)state;
  struct file file =
      file_of(GOOD "  ", 32); /* the two spaces put the data where f32 is not aligned */
  assert_true((8 + strlen(GOOD "  ")) % 4 != 0);
  struct weights *weights = NULL;
  struct tensor tensor;
  const char *path = write_file(&file);
  assert_ok(weights_open(path, NULL, &weights));
  assert_refused(weights_take(weights, "c", TENSOR_SHAPE(1), &tensor), "missing");
  assert_refused(weights_take(weights, "a", TENSOR_SHAPE(3, 2), &tensor), "has shape [2, 3]");
  assert_refused(weights_take(weights, "a", TENSOR_SHAPE(6), &tensor), "asks for [6]");
  assert_ok(weights_take(weights, "a", TENSOR_SHAPE(2, -1), &tensor));
  assert_int_equal((uintptr_t)tensor.data % 4, 0);
  assert_int_equal(((const uint8_t *)tensor.data)[23], 23);
  assert_int_equal(tensor.shape[1], 3);
  assert_refused(weights_take(weights, "a", TENSOR_SHAPE(2, 3), &tensor), "asked for twice");
  assert_refused(weights_all_used(weights),
                 "1 tensors are not used by this model, the first is \"b\"");
  assert_true(weights_has(weights, "b"));
  assert_int_equal(weights_rank(weights, "b"), 1);
  weights_skip(weights, "b");
  assert_ok(weights_all_used(weights));
  weights_close(&weights);
  assert_null(weights);
  unlink(path);
}

static void types_that_we_do_not_compute_in(void **state) {
  (void)state;
  struct file file = file_of("{" ENTRY("a", "I64", "[1]", 0, 8) "}", 8);
  struct weights *weights = NULL;
  struct tensor tensor;
  const char *path = write_file(&file);
  assert_ok(weights_open(path, NULL, &weights));
  assert_refused(weights_take(weights, "a", TENSOR_SHAPE(1), &tensor), "is I64");
  weights_close(&weights);
  unlink(path);
}

static void hashes(void **state) {
  (void)state;
  struct file file = file_of("{}", 0);
  struct weights *weights = NULL;
  const char *path = write_file(&file);
  assert_refused(weights_open(path, "00", &weights), "expected 00");
  const char *text = strstr(fail_reason(), "sha256 is ");
  char sum[65] = "";
  snprintf(sum, sizeof sum, "%s", text + strlen("sha256 is "));
  assert_ok(weights_open(path, sum, &weights));
  weights_close(&weights);
  sum[63] = sum[63] == '0' ? '1' : '0';
  assert_refused(weights_open(path, sum, &weights), "sha256 is ");
  unlink(path);
  assert_refused(weights_open(path, NULL, &weights), "cannot open");
  assert_refused(weights_open("/tmp", NULL, &weights), "not a file");
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(good_files),  cmocka_unit_test(bad_headers),
      cmocka_unit_test(bad_entries), cmocka_unit_test(odd_files_as_the_reference_takes_them),
      cmocka_unit_test(bad_tilings), cmocka_unit_test(pickles),
      cmocka_unit_test(taking),      cmocka_unit_test(types_that_we_do_not_compute_in),
      cmocka_unit_test(hashes),
  };
  return cmocka_run_group_tests_name("weights", tests, NULL, NULL);
}
