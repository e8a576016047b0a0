/* test_files.c - files of jobs are known by their content, and hashed at most once. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>
#undef fail /* cmocka has a macro of this name */

#include <openssl/evp.h>

#include "base/text.h"
#include "worker/engine/files.h"

/* A whole safetensors file: one value. */
static const char header[] = "{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]}}";
static uint8_t content[8 + sizeof header - 1 + 4];

static void make_content(uint8_t *digest) {
  memset(content, 0, sizeof content);
  content[0] = (uint8_t)(sizeof header - 1);
  memcpy(content + 8, header, sizeof header - 1);
  assert_int_equal(EVP_Digest(content, sizeof content, digest, NULL, EVP_sha256(), NULL), 1);
}

static struct job_file find(const char *said) {
  Darkroom__V1__Blob blob = DARKROOM__V1__BLOB__INIT;
  const struct engine_input input = {
      .kind = INPUT_ADAPTER, .data = content, .bytes = sizeof content};
  const struct engine_inputs inputs = {&input, 1};
  const struct file_wish wish = {INPUT_ADAPTER, 0, NULL, &blob};
  const struct extras none = {NULL, 0};
  struct job_file file = {0};
  blob.sha256 = (char *)said;
  assert_int_equal(job_file_find(&none, &inputs, &wish, &file), OK);
  assert_true(file.hashed);
  return file;
}

static void what_came_is_known_by_what_was_said_of_it(void **state) {
  (void)state;
  uint8_t digest[FILE_DIGEST_BYTES], said[FILE_DIGEST_BYTES];
  char text[2 * FILE_DIGEST_BYTES + 1];
  make_content(digest);
  struct job_file silent = find(NULL);
  assert_memory_equal(silent.sha256, digest, sizeof digest); /* nobody said: computed */
  memset(said, 0xab, sizeof said);
  text_hex(said, sizeof said, text);
  struct job_file told = find(text);
  assert_memory_equal(told.sha256, said, sizeof said); /* said: not computed */
  assert_string_not_equal(told.key, silent.key);
  struct job_file nonsense = find("not a sha256");
  assert_memory_equal(nonsense.sha256, digest, sizeof digest);
  assert_string_equal(nonsense.key, silent.key);
}

/* A file of the model table, with the sha256 that the table says or with none. */
static enum status read_listed(const char *folder, const char *sha256, struct job_file *out) {
  struct weight_hash hash = {"a.safetensors", sha256};
  const struct engine_extra extra = {.kind = EXTRA_LORA,
                                     .id = "ink",
                                     .source = {.folder = folder,
                                                .file = "a.safetensors",
                                                .hashes = &hash,
                                                .hash_count = sha256 != NULL}};
  const struct extras extras = {&extra, 1};
  const struct file_wish wish = {INPUT_ADAPTER, 0, "ink", NULL};
  assert_int_equal(job_file_find(&extras, NULL, &wish, out), OK);
  assert_false(out->hashed); /* not before it is read */
  return job_file_read(out);
}

static void a_listed_file_is_held_to_its_sha256_and_has_it(void **state) {
  (void)state;
  uint8_t digest[FILE_DIGEST_BYTES];
  char text[2 * FILE_DIGEST_BYTES + 1], folder[] = "/tmp/darkroom-files-XXXXXX", path[64];
  make_content(digest);
  text_hex(digest, sizeof digest, text);
  assert_non_null(mkdtemp(folder));
  snprintf(path, sizeof path, "%s/a.safetensors", folder);
  FILE *to = fopen(path, "wb");
  assert_non_null(to);
  assert_int_equal(fwrite(content, sizeof content, 1, to), 1);
  assert_int_equal(fclose(to), 0);
  struct job_file file = {0};
  assert_int_equal(read_listed(folder, text, &file), OK);
  assert_true(file.hashed);
  assert_memory_equal(file.sha256, digest, sizeof digest);
  job_file_close(&file);
  assert_int_equal(read_listed(folder, NULL, &file), OK);
  assert_false(file.hashed); /* nobody has looked */
  job_file_close(&file);
  text[0] = text[0] == '0' ? '1' : '0';
  assert_int_equal(read_listed(folder, text, &file), BAD_INPUT);
  job_file_close(&file);
  unlink(path);
  rmdir(folder);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(what_came_is_known_by_what_was_said_of_it),
      cmocka_unit_test(a_listed_file_is_held_to_its_sha256_and_has_it),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
