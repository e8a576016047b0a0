/* test_attachments.c - what a job brings, from flags: files that travel in it, files that go into
 * the store, URLs, names, and what cannot be read. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>
#undef fail /* cmocka has a macro of this name */

#include "base/bytes.h"
#include "base/limits.h"
#include "cli/attachments.h"
#include "store/digest.h"

static struct options options;
static struct arena *arena;
static Darkroom__V1__Job job;
static char folder[] = "/tmp/darkroom-attachments-XXXXXX";
static char small[128], large[128], store[128];

/* As much of a kind of file as is looked at: a picture's signature, or tensors' header. */
static void write_file(const char *path, size_t bytes) {
  static const uint8_t png[] = {0x89, 'P', 'N', 'G', '\r', '\n', 0x1a, '\n'};
  static const uint8_t tensors[] = {0x80, 0x02, 0, 0, 0, 0, 0, 0, '{'}; /* 640: no pickle */
  bool adapter = strstr(path, ".safetensors") != NULL;
  FILE *file = fopen(path, "wb");
  assert_non_null(file);
  fwrite(adapter ? tensors : png, 1, adapter ? sizeof tensors : sizeof png, file);
  for (size_t i = (size_t)ftell(file); i < bytes; i++) {
    fputc('a' + (int)(i % 26), file);
  }
  fclose(file);
}

static int setup_all(void **state) {
  (void)state;
  assert_non_null(mkdtemp(folder));
  snprintf(small, sizeof small, "%s/small.png", folder);
  snprintf(large, sizeof large, "%s/large.safetensors", folder);
  snprintf(store, sizeof store, "file://%s/store", folder);
  write_file(small, 1000);
  write_file(large, JOB_INLINE_BYTES_MAX + 1);
  return 0;
}

static int teardown_all(void **state) {
  (void)state;
  char *const words[] = {(char *)"rm", (char *)"-rf", folder, NULL};
  pid_t child = fork();
  if (child == 0) {
    execvp("rm", words);
    _exit(1);
  }
  return 0;
}

static void new_job(void) {
  darkroom__v1__job__init(&job);
  job.prompt = (char *)"a lake";
}

static int setup(void **state) {
  (void)state;
  options = (struct options){
      .strength = NAN, .upscale_kind = -1, .upscale_strength = NAN, .upscale_steps = SETTING_UNSET};
  new_job();
  return arena_open(NULL, 4 << 20, &arena) == OK ? 0 : -1;
}

static int teardown(void **state) {
  (void)state;
  arena_close(&arena);
  return 0;
}

/* What is noted for the store is put there; with what exit code. */
static enum exit_code add_and_send(void) {
  struct luggage luggage = {.options = &options, .arena = arena};
  struct refusal why = {0};
  if (attachments_add(&luggage, &job, &why) != OK) {
    print_error("%s (%s)\n", why.message, why.field);
    assert_true(0);
  }
  enum exit_code code = luggage_send(&luggage);
  luggage_close(&luggage);
  return code;
}

static void add(void) { assert_int_equal(add_and_send(), EXIT_CODE_OK); }

static void refused(const char *field) {
  struct luggage luggage = {.options = &options, .arena = arena};
  struct refusal why = {0};
  assert_int_equal(attachments_add(&luggage, &job, &why), BAD_INPUT);
  assert_string_equal(why.field, field);
  luggage_close(&luggage);
}

static bool in_store(const char *sha256) {
  char path[256];
  snprintf(path, sizeof path, "%s/inputs/%s", store + strlen("file://"), sha256);
  return access(path, F_OK) == 0;
}

static void a_small_file_travels_in_the_job(void **state) {
  (void)state;
  options.image = small;
  options.strength = 0.5;
  add();
  assert_true(job.image->has_inline_ && job.image->inline_.len == 1000);
  assert_int_equal(job.image->bytes, 1000);
  assert_int_equal(strlen(job.image->sha256), 64);
  assert_true(job.has_strength && job.strength == 0.5);
}

static void a_large_file_goes_into_the_store_by_its_hash(void **state) {
  (void)state;
  options.loras = large;
  refused("store");
  options.store = store;
  add();
  const Darkroom__V1__Blob *blob = job.adapter[0]->blob;
  char wanted[256];
  snprintf(wanted, sizeof wanted, "%s/inputs/%s", store, blob->sha256);
  assert_string_equal(blob->url, wanted);
  assert_false(blob->has_inline_);
  struct bytes content;
  bytes_open(&content, 1 << 20);
  assert_int_equal(bytes_read_file(&content, blob->url + strlen("file://")), OK);
  assert_int_equal(content.length, blob->bytes);
  bytes_close(&content);
}

/* Nothing is put anywhere for a job that is refused, wherever in it the fault is. */
static void nothing_is_sent_for_a_job_that_is_wrong(void **state) {
  (void)state;
  char other[128], sum[SHA256_TEXT_MAX];
  snprintf(other, sizeof other, "%s/other.safetensors", folder);
  write_file(other, JOB_INLINE_BYTES_MAX + 2);
  options.loras = other;
  options.store = store;
  options.mask = small; /* without an image */
  refused("mask");
  assert_int_equal(digest_sha256_file(other, sum), OK);
  assert_false(in_store(sum));
  options.mask = NULL;
  new_job();
  add();
  assert_true(in_store(sum));
}

static void a_file_that_changes_meanwhile_is_not_sent(void **state) {
  (void)state;
  char other[128], sum[SHA256_TEXT_MAX];
  snprintf(other, sizeof other, "%s/changing.safetensors", folder);
  write_file(other, JOB_INLINE_BYTES_MAX + 3);
  options.loras = other;
  options.store = store;
  struct luggage luggage = {.options = &options, .arena = arena};
  struct refusal why = {0};
  for (size_t more = 0; more < 3; more++) { /* another end, longer, shorter */
    write_file(other, JOB_INLINE_BYTES_MAX + 3);
    luggage = (struct luggage){.options = &options, .arena = arena};
    assert_int_equal(attachments_add(&luggage, &job, &why), OK);
    assert_int_equal(digest_sha256_file(other, sum), OK);
    FILE *file = fopen(other, more == 1 ? "ab" : "r+b");
    assert_non_null(file);
    fseek(file, more == 1 ? 0 : 100, more == 1 ? SEEK_END : SEEK_SET);
    fputc('!', file);
    fclose(file);
    assert_int_equal(more == 2 ? truncate(other, 1000) : 0, 0);
    assert_int_equal(luggage_send(&luggage), EXIT_CODE_USAGE);
    luggage_close(&luggage);
    assert_false(in_store(sum));
  }
}

static void a_store_that_cannot_be_written_has_its_exit_code(void **state) {
  (void)state;
  char under[160];
  snprintf(under, sizeof under, "file://%s/below", small); /* a file where a folder should be */
  options.loras = large;
  options.store = under;
  assert_int_equal(add_and_send(), EXIT_CODE_CANNOT_WRITE);
}

static void several_files_share_the_room_in_the_job(void **state) {
  (void)state;
  char half[128];
  snprintf(half, sizeof half, "%s/half.png", folder);
  write_file(half, JOB_INLINE_BYTES_MAX / 2 + 1);
  options.image = half;
  options.mask = half;
  options.store = store;
  add();
  assert_true(job.image->has_inline_ && job.image->url == NULL);
  assert_true(!job.mask->has_inline_ && job.mask->url != NULL);
}

static void lists_name_files_or_what_the_fleet_has(void **state) {
  (void)state;
  char controls[600];
  snprintf(controls, sizeof controls, "canny=%s:0.5:0.1:0.9\ndepth=s3://bucket/a:b.png", small);
  options.controls = controls;
  options.guess = true;
  options.loras = "ink:0.8\nmoss:-1:0.25";
  options.embeddings = "<fern>=fern";
  add();
  assert_int_equal(job.n_control, 2);
  assert_string_equal(job.control[0]->model, "canny");
  assert_true(job.control[0]->scale == 0.5 && job.control[0]->start == 0.1 &&
              job.control[0]->end == 0.9 && job.control[0]->guess);
  assert_true(job.control[0]->image->has_inline_);
  assert_string_equal(job.control[1]->image->url, "s3://bucket/a:b.png");
  assert_false(job.control[1]->has_scale);
  assert_int_equal(job.n_adapter, 2);
  assert_string_equal(job.adapter[0]->name, "ink");
  assert_true(job.adapter[0]->weight == 0.8 && !job.adapter[0]->has_text_weight);
  assert_true(job.adapter[1]->weight == -1 && job.adapter[1]->text_weight == 0.25);
  assert_string_equal(job.embedding[0]->token, "<fern>");
  assert_string_equal(job.embedding[0]->name, "fern");
}

static void a_url_may_name_its_hash(void **state) {
  (void)state;
  char url[200];
  snprintf(url, sizeof url, "s3://loras/ink.safetensors#sha256=%064d:0.5", 0);
  options.loras = url;
  add();
  assert_string_equal(job.adapter[0]->blob->url, "s3://loras/ink.safetensors");
  assert_int_equal(strlen(job.adapter[0]->blob->sha256), 64);
  assert_true(job.adapter[0]->weight == 0.5);
  options.loras = "s3://loras/ink.safetensors";
  refused("adapter.blob");
}

static void second_stages_are_read(void **state) {
  (void)state;
  job.has_width = job.has_height = 1;
  job.width = 512;
  job.height = 384;
  options.upscale = "2x";
  options.upscale_kind = 1;
  add();
  assert_true(job.upscale->width == 1024 && job.upscale->height == 768);
  assert_int_equal(job.upscale->kind, DARKROOM__V1__UPSCALE_KIND__UPSCALE_PIXEL);
  options.upscale = "1.5x";
  add();
  assert_true(job.upscale->width == 768 && job.upscale->height == 576);
  options.upscale = "1024x1024";
  add();
  assert_true(job.upscale->width == 1024 && job.upscale->height == 1024);
  options.upscale = NULL;
  options.upscale_kind = -1;
  job.upscale = NULL;
  options.refiner = "finish:0.7";
  options.sizes = "1024,1024,0,0,512,512";
  add();
  assert_string_equal(job.refiner->model, "finish");
  assert_true(job.refiner->start == 0.7);
  assert_int_equal(job.sizes->target_height, 512);
}

static void padding_is_read(void **state) {
  (void)state;
  options.image = small;
  options.pad = "64,0,64,8";
  add();
  assert_true(job.padding->left == 64 && job.padding->top == 0 && job.padding->right == 64 &&
              job.padding->bottom == 8);
}

static void what_cannot_be_read_is_named(void **state) {
  (void)state;
  const struct {
    const char **option;
    const char *text, *field;
  } rows[] = {
      {&options.pad, "64,64", "pad"},
      {&options.controls, "canny", "control"},
      {&options.upscale, "large", "upscale"},
      {&options.upscale, "2x", "upscale"},
      {&options.embeddings, "=x", "embedding"},
      {&options.sizes, "1,2,3", "sizes"},
      {&options.image, "/nowhere.png", "image"},
      {&options.image, "/", "image"},
      {&options.image, "/dev/zero", "image"},
      {&options.image, "/dev/null", "image"},
      {&options.image, "s3://bucket", "image"},
      {&options.image, "https://", "image"},
      {&options.controls, "canny=", "control"},
      {&options.loras, "ink:nan", "lora"},
      {&options.loras, "ink:1:1:1", "lora"},
      {&options.loras, "ink:", "lora"},
      {&options.loras, "/dev/zero", "lora"},
      {&options.refiner, "finish:soon", "refiner"},
      {&options.upscale, "100.5x104", "upscale"},
      {&options.upscale, "nanx104", "upscale"},
      {&options.store, "nowhere", "store"},
      {&options.store, "http://nowhere", "store"},
  };
  for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
    new_job();
    *rows[i].option = rows[i].text;
    refused(rows[i].field);
    *rows[i].option = NULL;
  }
  new_job();
  options.mask = small;
  refused("mask");
  options.mask = NULL;
  new_job();
  options.guess = true;
  refused("guess");
  options.guess = false;
  options.upscale_steps = 3;
  refused("upscale-steps");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void) {
  const struct CMUnitTest tests[] = {
      TEST(a_small_file_travels_in_the_job),
      TEST(a_large_file_goes_into_the_store_by_its_hash),
      TEST(nothing_is_sent_for_a_job_that_is_wrong),
      TEST(a_file_that_changes_meanwhile_is_not_sent),
      TEST(a_store_that_cannot_be_written_has_its_exit_code),
      TEST(several_files_share_the_room_in_the_job),
      TEST(lists_name_files_or_what_the_fleet_has),
      TEST(a_url_may_name_its_hash),
      TEST(second_stages_are_read),
      TEST(padding_is_read),
      TEST(what_cannot_be_read_is_named),
  };
  return cmocka_run_group_tests(tests, setup_all, teardown_all);
}
