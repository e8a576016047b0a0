/* test_job_inputs.c - files, control nets, adapters, embeddings and second stages of a job: what
 * may be said of them, what goes with what, and what they count as. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>
#undef fail /* cmocka has a macro of this name */

#include "base/limits.h"
#include "proto/job.h"
#include "proto/job_inputs.h"

typedef Darkroom__V1__Job Job;
typedef Darkroom__V1__Blob Blob;

/* of "abc": FIPS 180-2's own example */
static char abc_sha256[] = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

static Job fresh(void) {
  Job job = DARKROOM__V1__JOB__INIT;
  job.prompt = (char *)"a lake at sunset";
  return job;
}

static Blob by_url(const char *url) {
  Blob blob = DARKROOM__V1__BLOB__INIT;
  blob.url = (char *)url;
  return blob;
}

static Blob by_bytes(const char *text) {
  Blob blob = DARKROOM__V1__BLOB__INIT;
  blob.has_inline_ = 1;
  blob.inline_.data = (uint8_t *)text;
  blob.inline_.len = strlen(text);
  return blob;
}

static void fine(const Job *job) {
  struct refusal why = {0};
  if (job_check(job, &why) != OK) {
    print_error("refused: %s (%s)\n", why.message, why.field);
    assert_true(0);
  }
}

static void refused(const Job *job, const char *field, const char *limit) {
  struct refusal why = {0};
  assert_int_equal(job_check(job, &why), BAD_INPUT);
  assert_int_equal(why.code, DARKROOM__V1__ERROR_CODE__ERROR_FIELD);
  assert_string_equal(why.field, field);
  if (strstr(why.limit, limit) == NULL) {
    print_error("limit \"%s\" does not say \"%s\"\n", why.limit, limit);
    assert_true(0);
  }
}

static void test_fields_in_company(void **state) {
  (void)state;
  Blob blob = by_url("s3://pictures/in.png");
  Job job = fresh();
  job.has_strength = 1;
  job.strength = 0.5;
  refused(&job, "strength", "image");
  job.image = &blob;
  fine(&job);
  job.strength = 1.5;
  refused(&job, "strength", "0..1");
  job = fresh();
  job.mask = &blob;
  refused(&job, "mask", "image");
  job = fresh();
  Darkroom__V1__Padding padding = DARKROOM__V1__PADDING__INIT;
  job.padding = &padding;
  refused(&job, "padding", "image");
  job = fresh();
  job.has_quality = 1;
  job.quality = 90;
  refused(&job, "quality", "jpeg");
  job.has_format = 1;
  job.format = DARKROOM__V1__IMAGE_FORMAT__IMAGE_FORMAT_WEBP;
  fine(&job);
  job = fresh();
  job.has_preview_kind = 1;
  job.preview_kind = DARKROOM__V1__PREVIEW_KIND__PREVIEW_TINY;
  refused(&job, "preview_kind", "preview_every");
}

static void test_strength_left_out(void **state) {
  (void)state;
  Blob blob = by_url("s3://pictures/in.png");
  Job job = fresh();
  job_defaults(&job);
  assert_false(job.has_strength);
  job.image = &blob;
  job_defaults(&job);
  assert_true(job.strength == 0.8);
  job.has_strength = 0;
  job.mask = &blob;
  job_defaults(&job);
  assert_true(job.strength == 1);
}

static void image_refused(Blob blob, const char *limit) {
  Job job = fresh();
  job.image = &blob;
  refused(&job, "image", limit);
}

static void test_blob(void **state) {
  (void)state;
  Blob blob = by_bytes("abc");
  Job job = fresh();
  job.image = &blob;
  fine(&job);
  blob.sha256 = abc_sha256;
  fine(&job);
  blob.has_bytes = 1;
  blob.bytes = 4;
  image_refused(blob, "bytes as it has");
  blob.bytes = 3;
  fine(&job);
  blob.url = (char *)"s3://a/b";
  image_refused(blob, "either url or inline");
  blob = by_bytes("abd");
  blob.sha256 = abc_sha256;
  image_refused(blob, "its own sha256");
  image_refused(by_bytes(""), "1 byte or more");
  image_refused((Blob)DARKROOM__V1__BLOB__INIT, "either url or inline");
  image_refused(by_url("http://example.com/a.png"), "s3://");
  image_refused(by_url("file:a.png"), "file:///");
  image_refused(by_url(""), "1..1024 bytes");
  blob = by_url("https://example.com/a.png");
  blob.sha256 = (char *)"BA7816";
  image_refused(blob, "64 digits");
  blob.sha256 = NULL;
  blob.has_bytes = 1;
  blob.bytes = INPUT_PICTURE_BYTES_MAX + 1;
  image_refused(blob, "1..67108864 bytes");
  blob.bytes = 0;
  image_refused(blob, "1..67108864 bytes");
  blob.bytes = 1;
  blob.has_kind = 1;
  blob.kind = DARKROOM__V1__BLOB_KIND__BLOB_ADAPTER;
  image_refused(blob, "image");
}

static void test_too_much_inline(void **state) {
  (void)state;
  static char text[JOB_INLINE_BYTES_MAX + 2];
  memset(text, 'x', JOB_INLINE_BYTES_MAX);
  Blob image = by_bytes(text);
  Job job = fresh();
  job.image = &image;
  fine(&job);
  Blob mask = by_bytes("x");
  job.mask = &mask;
  refused(&job, "inline", "163840");
}

static void test_controls(void **state) {
  (void)state;
  Blob blob = by_url("s3://pictures/edges.png");
  Darkroom__V1__Control control = DARKROOM__V1__CONTROL__INIT;
  Darkroom__V1__Control *all[CONTROLS_MAX + 1] = {&control, &control, &control, &control, &control};
  Job job = fresh();
  job.control = all;
  job.n_control = 1;
  refused(&job, "control.model", "1..128 bytes");
  control.model = (char *)"canny";
  refused(&job, "control.image", "required");
  control.image = &blob;
  fine(&job);
  assert_true(control.scale == 1 && control.start == 0 && control.end == 1);
  control.has_scale = 1;
  control.scale = NAN;
  refused(&job, "control.scale", "0..10");
  control.scale = 1;
  control.has_start = control.has_end = 1;
  control.start = 0.8;
  control.end = 0.5;
  refused(&job, "control.end", "start..1");
  control.end = 0.9;
  fine(&job);
  job.n_control = CONTROLS_MAX + 1;
  refused(&job, "control", "at most 4");
}

static void test_adapters(void **state) {
  (void)state;
  Blob blob = by_url("s3://loras/style.safetensors");
  Darkroom__V1__Adapter adapter = DARKROOM__V1__ADAPTER__INIT;
  Darkroom__V1__Adapter *all[] = {&adapter};
  Job job = fresh();
  job.adapter = all;
  job.n_adapter = 1;
  refused(&job, "adapter", "either name or blob");
  adapter.blob = &blob;
  refused(&job, "adapter.blob", "with its sha256");
  blob.sha256 = abc_sha256;
  fine(&job);
  adapter.name = (char *)"ink";
  refused(&job, "adapter", "either name or blob");
  adapter.blob = NULL;
  fine(&job);
  adapter.has_weight = 1;
  adapter.weight = -10.5;
  refused(&job, "adapter.weight", "-10.0..10.0");
}

static void test_embeddings(void **state) {
  (void)state;
  Darkroom__V1__Embedding one = DARKROOM__V1__EMBEDDING__INIT;
  Darkroom__V1__Embedding two = DARKROOM__V1__EMBEDDING__INIT;
  Darkroom__V1__Embedding *all[] = {&one, &two};
  Job job = fresh();
  job.embedding = all;
  job.n_embedding = 2;
  refused(&job, "embedding.token", "1..64 bytes");
  one.token = two.token = (char *)"<moss>";
  one.name = two.name = (char *)"moss";
  refused(&job, "embedding.token", "each once");
  two.token = (char *)"<fern>";
  fine(&job);
  two.name = NULL;
  refused(&job, "embedding", "either name or blob");
}

static void test_stages(void **state) {
  (void)state;
  Darkroom__V1__Upscale upscale = DARKROOM__V1__UPSCALE__INIT;
  Job job = fresh();
  job.upscale = &upscale;
  refused(&job, "upscale", "width and height");
  upscale.has_width = upscale.has_height = 1;
  upscale.width = upscale.height = 1024;
  fine(&job);
  job.has_width = 1;
  job.width = 2048;
  refused(&job, "upscale", "at least");
  job.width = 512;
  upscale.width = 1020;
  refused(&job, "upscale.width", "multiple of 8");
  upscale.width = 1024;
  Darkroom__V1__Refiner refiner = DARKROOM__V1__REFINER__INIT;
  job.refiner = &refiner;
  refused(&job, "refiner", "no upscale");
  job.upscale = NULL;
  refused(&job, "refiner.model", "1..128 bytes");
  refiner.model = (char *)"sdxl-refiner";
  fine(&job);
  refiner.has_score = 1;
  refiner.score = 11;
  refused(&job, "refiner.score", "0..10");
  Darkroom__V1__Sizes sizes = DARKROOM__V1__SIZES__INIT;
  job = fresh();
  job.sizes = &sizes;
  sizes.has_target_width = 1;
  refused(&job, "sizes.target_width", "1..16384");
}

static void test_padding(void **state) {
  (void)state;
  Blob blob = by_url("s3://pictures/in.png");
  Darkroom__V1__Padding padding = DARKROOM__V1__PADDING__INIT;
  Job job = fresh();
  job.image = &blob;
  job.padding = &padding;
  job.has_width = 1;
  job.width = 256;
  padding.has_left = padding.has_right = 1;
  padding.left = 128;
  padding.right = 120;
  fine(&job);
  padding.right = 128;
  refused(&job, "padding", "at least 8");
  padding.right = 100;
  refused(&job, "padding.right", "multiple of 8");
}

static void test_one_after_the_other(void **state) {
  (void)state;
  Blob image = by_url("s3://a/image");
  Blob edges = by_url("s3://a/edges");
  Blob style = by_url("s3://a/style");
  Darkroom__V1__Control control = DARKROOM__V1__CONTROL__INIT;
  Darkroom__V1__Control *controls[] = {&control};
  Darkroom__V1__Adapter named = DARKROOM__V1__ADAPTER__INIT;
  Darkroom__V1__Adapter brought = DARKROOM__V1__ADAPTER__INIT;
  Darkroom__V1__Adapter *adapters[] = {&named, &brought};
  named.name = (char *)"ink";
  brought.blob = &style;
  control.image = &edges;
  Job job = fresh();
  assert_int_equal(job_input_count(&job), 0);
  job.image = &image;
  job.control = controls;
  job.n_control = 1;
  job.adapter = adapters;
  job.n_adapter = 2;
  struct job_input input = {0};
  assert_int_equal(job_input_count(&job), 3);
  assert_true(job_input_at(&job, 0, &input) && input.blob == &image);
  assert_true(job_input_at(&job, 1, &input) && input.blob == &edges);
  assert_true(job_input_at(&job, 2, &input) && input.blob == &style);
  assert_string_equal(input.field, "adapter.blob");
  assert_int_equal(input.index, 1);
  assert_false(job_input_at(&job, 3, &input));
}

/* The same file is the same content, however it comes. */
static void test_digest(void **state) {
  (void)state;
  uint8_t one[JOB_DIGEST_BYTES];
  uint8_t two[JOB_DIGEST_BYTES];
  Blob inside = by_bytes("abc");
  Blob outside = by_url("s3://a/b");
  Job job = fresh();
  job.image = &inside;
  assert_int_equal(job_digest(&job, one), OK);
  outside.sha256 = abc_sha256;
  job.image = &outside;
  assert_int_equal(job_digest(&job, two), OK);
  assert_memory_equal(one, two, sizeof one);
  assert_true(job.image == &outside && outside.url != NULL);
  inside = by_bytes("abd");
  job.image = &inside;
  assert_int_equal(job_digest(&job, two), OK);
  assert_memory_not_equal(one, two, sizeof one);
  Blob here = by_url("s3://a/b");
  Blob there = by_url("s3://a/c");
  job.image = &here;
  assert_int_equal(job_digest(&job, one), OK);
  job.image = &there;
  assert_int_equal(job_digest(&job, two), OK);
  assert_memory_not_equal(one, two, sizeof one);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_fields_in_company),
      cmocka_unit_test(test_strength_left_out),
      cmocka_unit_test(test_blob),
      cmocka_unit_test(test_too_much_inline),
      cmocka_unit_test(test_controls),
      cmocka_unit_test(test_adapters),
      cmocka_unit_test(test_embeddings),
      cmocka_unit_test(test_stages),
      cmocka_unit_test(test_padding),
      cmocka_unit_test(test_one_after_the_other),
      cmocka_unit_test(test_digest),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
