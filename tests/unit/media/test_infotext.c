/* test_infotext.c - what a picture says of how it was made: AUTOMATIC1111's words, and no place
 * where a file lay. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>
#undef fail /* cmocka has a macro of this name */

#include "worker/media/caption.h"
#include "worker/media/infotext.h"

static Darkroom__V1__Job job;
static Darkroom__V1__Blob blob;
static Darkroom__V1__Control control, *controls[] = {&control};
static Darkroom__V1__Adapter adapter, *adapters[] = {&adapter};
static Darkroom__V1__Embedding embedding, *embeddings[] = {&embedding};

static int setup(void **state) {
  (void)state;
  darkroom__v1__job__init(&job);
  darkroom__v1__blob__init(&blob);
  darkroom__v1__control__init(&control);
  darkroom__v1__adapter__init(&adapter);
  darkroom__v1__embedding__init(&embedding);
  job.prompt = (char *)"a lake";
  blob.url = (char *)"s3://secret-bucket/a.png";
  return 0;
}

static void rest_is(const char *wanted) {
  struct bytes text;
  bytes_open(&text, 4096);
  assert_int_equal(infotext_rest(&job, &text), OK);
  assert_string_equal(bytes_text(&text), wanted);
  bytes_close(&text);
}

static void a_plain_job_adds_nothing(void **state) {
  (void)state;
  rest_is("");
}

static void what_a_job_has_is_said(void **state) {
  (void)state;
  job.image = &blob;
  job.has_strength = 1;
  job.strength = 0.6;
  job.has_clip_skip = 1;
  job.clip_skip = 1;
  rest_is("Denoising strength: 0.6, Clip skip: 2, ");
  job.has_tiny_decoder = job.tiny_decoder = 1;
  rest_is("Denoising strength: 0.6, Clip skip: 2, VAE Decoder: TAESD, ");
  job.tiny_decoder = 0;
  control.model = (char *)"canny \"x\"";
  job.control = controls;
  job.n_control = 1;
  adapter.name = (char *)"ink";
  adapter.weight = 0.8;
  job.adapter = adapters;
  job.n_adapter = 1;
  embedding.token = (char *)"<moss>";
  embedding.name = (char *)"moss";
  job.embedding = embeddings;
  job.n_embedding = 1;
  rest_is(
      "Denoising strength: 0.6, Clip skip: 2, ControlNet 0: \"Model: canny 'x', Weight: 1, "
      "Guidance Start: 0, Guidance End: 1, Control Mode: Balanced\", Loras: \"ink: 0.8\", "
      "Embeddings: \"<moss>: moss\", ");
}

static void a_second_pass_is_a_hires_fix(void **state) {
  (void)state;
  Darkroom__V1__Upscale upscale = DARKROOM__V1__UPSCALE__INIT;
  job.upscale = &upscale;
  job.steps = 20;
  upscale.width = 1024;
  upscale.height = 768;
  rest_is(
      "Denoising strength: 0.6, Hires resize: 1024x768, Hires steps: 20, Hires upscaler: Latent, ");
}

static void no_place_of_a_file_is_told(void **state) {
  (void)state;
  struct bytes text;
  struct caption caption = {.job = &job, .model_sha256 = "", .worker = "w", .version = "1"};
  job.image = &blob;
  bytes_open(&text, 4096);
  assert_int_equal(caption_parameters(&caption, &text), OK);
  assert_null(strstr(bytes_text(&text), "secret-bucket"));
  assert_string_equal(job.image->url, "s3://secret-bucket/a.png");
  bytes_clear(&text);
  blob.sha256 = (char *)"abc";
  assert_int_equal(caption_parameters(&caption, &text), OK);
  assert_non_null(strstr(bytes_text(&text), "\"sha256\":\"abc\""));
  bytes_close(&text);
}

#define TEST(name) cmocka_unit_test_setup(name, setup)

int main(void) {
  const struct CMUnitTest tests[] = {
      TEST(a_plain_job_adds_nothing),
      TEST(what_a_job_has_is_said),
      TEST(a_second_pass_is_a_hires_fix),
      TEST(no_place_of_a_file_is_told),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
