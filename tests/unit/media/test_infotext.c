/* test_infotext.c - what a picture says of how it was made: AUTOMATIC1111's words, and no place
 * where a file lay. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>
#undef fail /* cmocka has a macro of this name */

#include "base/limits.h"
#include "images/encode.h"
#include "proto/job.h"
#include "worker/media/caption.h"
#include "worker/media/infotext.h"
#include "worker/media/media.h"

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

/* A text of this many bytes, one of a few that are at hand. */
static char *filled(char letter, size_t bytes) {
  static char texts[16][JOB_PROMPT_BYTES_MAX + 1];
  static size_t next;
  char *text = texts[next++ % 16];
  memset(text, letter, bytes);
  text[bytes] = '\0';
  return text;
}

struct largest {
  Darkroom__V1__Blob blob[JOB_INPUTS_MAX];
  Darkroom__V1__Control control[CONTROLS_MAX], *controls[CONTROLS_MAX];
  Darkroom__V1__Adapter adapter[JOB_ADAPTERS_MAX], *adapters[JOB_ADAPTERS_MAX];
  Darkroom__V1__Embedding embedding[JOB_EMBEDDINGS_MAX], *embeddings[JOB_EMBEDDINGS_MAX];
  char token[JOB_EMBEDDINGS_MAX][JOB_TOKEN_BYTES_MAX + 1];
  Darkroom__V1__KeyValue pair[JOB_METADATA_MAX], *pairs[JOB_METADATA_MAX];
};

static Darkroom__V1__Blob *blob_of(struct largest *with, size_t at, char *url) {
  static char sha256[] = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
  darkroom__v1__blob__init(&with->blob[at]);
  with->blob[at].url = url;
  with->blob[at].sha256 = sha256;
  return &with->blob[at];
}

static void fill_lists(struct largest *with, char letter, char *url) {
  char *name = filled(letter, JOB_NAME_BYTES_MAX);
  for (size_t i = 0; i < CONTROLS_MAX; i++) {
    darkroom__v1__control__init(with->controls[i] = &with->control[i]);
    with->control[i].model = name;
    with->control[i].image = blob_of(with, 2 + i, url);
  }
  for (size_t i = 0; i < JOB_ADAPTERS_MAX; i++) {
    darkroom__v1__adapter__init(with->adapters[i] = &with->adapter[i]);
    with->adapter[i].name = i % 2 == 0 ? name : NULL;
    with->adapter[i].blob = i % 2 == 0 ? NULL : blob_of(with, 2 + CONTROLS_MAX + i, url);
  }
  for (size_t i = 0; i < JOB_EMBEDDINGS_MAX; i++) {
    darkroom__v1__embedding__init(with->embeddings[i] = &with->embedding[i]);
    memset(with->token[i], letter, JOB_TOKEN_BYTES_MAX);
    with->token[i][0] = (char)('a' + i);
    with->embedding[i].token = with->token[i];
    with->embedding[i].blob = blob_of(with, 2 + CONTROLS_MAX + JOB_ADAPTERS_MAX + i, url);
  }
  char *key = filled(letter, JOB_METADATA_KEY_BYTES_MAX);
  char *value = filled(letter, JOB_METADATA_VALUE_BYTES_MAX);
  for (size_t i = 0; i < JOB_METADATA_MAX; i++) {
    darkroom__v1__key_value__init(with->pairs[i] = &with->pair[i]);
    with->pair[i].key = key;
    with->pair[i].value = value;
  }
}

/* As large as the checks let a job be, all of one letter. */
static void make_largest(struct largest *with, char letter) {
  char *url = filled(letter, BLOB_URL_BYTES_MAX);
  memcpy(url, "file:///", 8);
  fill_lists(with, letter, url);
  job.prompt = filled(letter, JOB_PROMPT_BYTES_MAX);
  job.negative_prompt = filled(letter, JOB_PROMPT_BYTES_MAX);
  job.model = filled(letter, JOB_MODEL_BYTES_MAX);
  job.id = filled('i', JOB_ID_BYTES_MAX);
  job.tenant = filled('t', JOB_TENANT_BYTES_MAX);
  job.image = blob_of(with, 0, url);
  job.mask = blob_of(with, 1, url);
  job.n_control = CONTROLS_MAX;
  job.control = with->controls;
  job.n_adapter = JOB_ADAPTERS_MAX;
  job.adapter = with->adapters;
  job.n_embedding = JOB_EMBEDDINGS_MAX;
  job.embedding = with->embeddings;
  job.n_metadata = JOB_METADATA_MAX;
  job.metadata = with->pairs;
  job_defaults(&job);
}

static void made_in_every_format(const struct encode_texts *texts) {
  uint8_t pixels[8 * 8 * 3] = {0};
  struct image image = {8, 8, 3, pixels};
  for (int i = 0; i < ENCODINGS; i++) {
    struct bytes file;
    bytes_open(&file, IMAGE_FILE_BYTES_MAX);
    assert_int_equal(image_encode(&image, (enum encoding)i, 90, texts, &file), OK);
    bytes_close(&file);
  }
}

/* A picture is made and stored however much its job says. */
static void the_largest_job_has_room(void **state) {
  (void)state;
  static const char letters[] = {'a', '\x01', '&', '"'}; /* each long in one of the texts */
  static struct largest largest;
  for (size_t i = 0; i < sizeof letters; i++) {
    struct refusal why = {0};
    struct bytes texts[3];
    struct caption caption = {.job = &job, .model_sha256 = "", .worker = "w", .version = "1"};
    Darkroom__V1__Artifact artifact = DARKROOM__V1__ARTIFACT__INIT;
    make_largest(&largest, letters[i]);
    assert_int_equal(job_check(&job, &why), OK);
    for (size_t k = 0; k < 3; k++) {
      bytes_open(&texts[k], CAPTION_BYTES_MAX);
    }
    artifact.url = filled(letters[i], MEDIA_URL_BYTES_MAX);
    assert_int_equal(caption_infotext(&caption, &texts[0]), OK);
    assert_true(texts[0].length > 2 * JOB_PROMPT_BYTES_MAX);
    assert_true(texts[0].length <= ENCODE_INFOTEXT_BYTES_MAX);
    assert_int_equal(caption_parameters(&caption, &texts[1]), OK);
    assert_int_equal(caption_sidecar(&caption, &artifact, &texts[2]), OK);
    made_in_every_format(&(struct encode_texts){bytes_text(&texts[0]), bytes_text(&texts[1])});
    for (size_t k = 0; k < 3; k++) {
      bytes_close(&texts[k]);
    }
  }
}

#define TEST(name) cmocka_unit_test_setup(name, setup)

int main(void) {
  const struct CMUnitTest tests[] = {
      TEST(a_plain_job_adds_nothing),     TEST(what_a_job_has_is_said),
      TEST(a_second_pass_is_a_hires_fix), TEST(no_place_of_a_file_is_told),
      TEST(the_largest_job_has_room),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
