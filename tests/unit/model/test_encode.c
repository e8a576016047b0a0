/* test_encode.c - a picture to latents, and tiny decoders, against diffusers. */
#include <math.h>

#include "kernels/random.h"
#include "tests/cases/device_rows.h"
#include "tests/unit/model/tiny.h"
#include "worker/model/tiny_vae.h"

#define SEED 1234 /* families.json */
#define SIDE 8
#define PIXELS 64
#define CHANNELS 4
#define VALUES (SIDE * SIDE * CHANNELS)

/* ---- the encoder ---- */

/* The picture -1 to 1 and the noise that diffusers draws for its latents, both on the device. */
static void put_picture(struct tiny *tiny, const struct goldens *goldens, struct encode *out) {
  const uint8_t *bytes = golden(goldens, "input.image");
  float *values = malloc(PIXELS * PIXELS * 3 * sizeof *values), scratch[VALUES], noise[VALUES];
  struct random random;
  for (int i = 0; i < PIXELS * PIXELS * 3; i++) {
    values[i] = (float)bytes[i] / 127.5f - 1;
  }
  random_seed(&random, SEED);
  random_normal_image(&random, CHANNELS, SIDE, SIDE, scratch, noise);
  assert_ok(tensor_take(tiny->keep, ELEMENT_F32, TENSOR_SHAPE(PIXELS, PIXELS, 3), &out->image));
  assert_ok(tensor_take(tiny->keep, ELEMENT_F32, TENSOR_SHAPE(SIDE, SIDE, CHANNELS), &out->noise));
  assert_ok(
      tensor_take(tiny->keep, ELEMENT_F32, TENSOR_SHAPE(SIDE, SIDE, CHANNELS), &out->latents));
  assert_ok(device_put(tiny->device, values, tensor_bytes(&out->image), &out->image));
  assert_ok(device_put(tiny->device, noise, sizeof noise, &out->noise));
  free(values);
}

static void encode_on(const char *device, const char *folder, const char *file, const char *name,
                      double tolerance) {
  struct tiny tiny;
  struct goldens goldens, wanted;
  struct encode encode;
  float latents[VALUES];
  tiny_open_folder(&tiny, device, folder);
  goldens_open_file(&goldens, "families.safetensors");
  goldens_open_file(&wanted, file);
  put_picture(&tiny, &goldens, &encode);
  assert_true(model_encodes(tiny.model));
  assert_ok(model_encode(tiny.model, tiny.turn, &encode));
  assert_int_equal(arena_used(tiny.turn), 0);
  assert_int_equal(arena_peak(tiny.turn), model_encode_bytes(tiny.model, SIDE, SIDE));
  assert_ok(device_get(tiny.device, &encode.latents, latents, sizeof latents));
  double difference =
      tiny_difference(latents, golden(&wanted, name), (int64_t[]){1, SIDE, SIDE, CHANNELS});
  print_message("%s on %s: %.2e relative\n", name, device, difference);
  assert_true(difference < tolerance);
  goldens_close(&goldens);
  goldens_close(&wanted);
  tiny_close(&tiny);
}

static void encodes(void **state) {
  (void)state;
  encode_on("ref", tiny_folder("tiny-eps"), "families.safetensors", "encode.latents", 1e-4);
}
static void encodes_on_cpu(void **state) {
  (void)state;
  encode_on("cpu in f32", tiny_folder("tiny-eps"), "families.safetensors", "encode.latents", 1e-4);
  encode_on("cpu", tiny_folder("tiny-eps"), "families.safetensors", "encode.latents", 4e-2);
}

static const char *scratch(void) {
  static char path[64];
  snprintf(path, sizeof path, "/tmp/darkroom-encode-%d", getpid());
  return path;
}
static void copy_and(const char *model, const char *command) {
  char line[2048], root[256];
  assert_non_null(getcwd(root, sizeof root));
  snprintf(line, sizeof line, "rm -rf %s && cp -r %s %s && cd %s && R=%s/tests/model && %s",
           scratch(), tiny_folder(model), scratch(), scratch(), root, command);
  tiny_shell(line);
}
static int remove_scratch(void **state) {
  (void)state;
  char command[128];
  snprintf(command, sizeof command, "rm -rf %s", scratch());
  tiny_shell(command);
  return 0;
}

/* Latents of a mean and a deviation of their own (latents_mean, latents_std), both ways. */
#define STANDARD                                            \
  "sed -i 's/{/{\"latents_mean\": [0.5, -1.0, 0.25, 2.0], " \
  "\"latents_std\": [1.5, 0.5, 2.0, 1.0],/' vae/config.json"
static void standard_latents(void **state) {
  (void)state;
  copy_and("tiny-eps", STANDARD);
  encode_on("ref", scratch(), "control.safetensors", "standard.latents", 1e-4);
  encode_on("cpu", scratch(), "control.safetensors", "standard.latents", 4e-2);
}

static void standard_picture(void **state) {
  (void)state;
  struct tiny tiny;
  struct goldens goldens;
  struct tensor latents, pixels;
  struct decode decode;
  uint8_t *got = malloc(PIXELS * PIXELS * 3);
  copy_and("tiny-eps", STANDARD);
  tiny_open_folder(&tiny, "ref", scratch());
  goldens_open_file(&goldens, "control.safetensors");
  assert_ok(tensor_take(tiny.keep, ELEMENT_F32, TENSOR_SHAPE(1, SIDE, SIDE, CHANNELS), &latents));
  assert_ok(tensor_take(tiny.keep, ELEMENT_U8, TENSOR_SHAPE(PIXELS, PIXELS, 3), &pixels));
  tiny_put(&tiny, golden(&goldens, "standard.latents"), &latents);
  assert_ok(device_decode(tiny.device, tiny.keep, tiny.model, &latents, &pixels, &decode));
  assert_ok(model_decode(tiny.model, tiny.turn, &decode));
  assert_ok(device_get(tiny.device, &pixels, got, tensor_bytes(&pixels)));
  const float *want = golden(&goldens, "standard.picture"); /* [3, 64, 64], -1 to 1 */
  for (int i = 0; i < PIXELS * PIXELS * 3; i++) {
    float value = (want[i % 3 * PIXELS * PIXELS + i / 3] / 2 + 0.5f) * 255;
    value = value < 0 ? 0 : value > 255 ? 255 : value;
    assert_true(fabsf((float)got[i] - value) < 1.5f);
  }
  goldens_close(&goldens);
  tiny_close(&tiny);
  free(got);
}

/* A folder without an encoder draws pictures, and takes none. */
static void without_encoder(void **state) {
  (void)state;
  struct tiny tiny;
  struct goldens goldens;
  struct encode encode;
  copy_and("tiny-eps",
           "python3 $R/rename_tensors.py vae/diffusion_pytorch_model.safetensors -encoder. "
           "-quant_conv.");
  tiny_open_folder(&tiny, "ref", scratch());
  goldens_open_file(&goldens, "families.safetensors");
  put_picture(&tiny, &goldens, &encode);
  assert_false(model_encodes(tiny.model));
  assert_refused(model_encode(tiny.model, tiny.turn, &encode), "has no encoder");
  assert_string_equal(fail_field_name(), "image");
  assert_int_equal(model_encode_bytes(tiny.model, SIDE, SIDE), 0);
  goldens_close(&goldens);
  tiny_close(&tiny);
}

/* ---- tiny decoders ---- */

static void tiny_pixels(struct tiny *tiny, const struct model_source *source,
                        const struct goldens *goldens, uint8_t *out) {
  struct tiny_vae *decoder = NULL;
  struct tensor latents, pixels;
  struct decode decode;
  assert_ok(tiny_vae_open(tiny->device, source, model_family(tiny->model), &decoder));
  assert_true(tiny_vae_bytes(decoder) > 10000);
  assert_ok(tensor_take(tiny->keep, ELEMENT_F32, TENSOR_SHAPE(1, SIDE, SIDE, CHANNELS), &latents));
  assert_ok(tensor_take(tiny->keep, ELEMENT_U8, TENSOR_SHAPE(PIXELS, PIXELS, 3), &pixels));
  tiny_put(tiny, golden(goldens, "taesd.latents"), &latents);
  assert_ok(device_decode(tiny->device, tiny->keep, tiny->model, &latents, &pixels, &decode));
  const struct batch_row row = {.latents = latents.data, .scale = tiny_vae_scale(decoder)};
  assert_ok(device_rows(tiny->device, tiny->keep, &row, 1, &decode.row));
  arena_drop(tiny->turn);
  assert_ok(tiny_vae_decode(decoder, tiny->turn, &decode));
  assert_int_equal(arena_used(tiny->turn), 0);
  assert_int_equal(arena_peak(tiny->turn), tiny_vae_decode_bytes(decoder, SIDE, SIDE));
  int32_t finite = 0;
  assert_ok(device_get(tiny->device, &decode.finite, &finite, sizeof finite));
  assert_int_equal(finite, 1);
  assert_ok(device_get(tiny->device, &pixels, out, tensor_bytes(&pixels)));
  tiny_vae_close(&decoder);
}

static void tiny_decodes_on(const char *device, int slack) {
  struct tiny tiny;
  struct goldens goldens;
  uint8_t *got = malloc(PIXELS * PIXELS * 3);
  tiny_open(&tiny, device, "tiny-eps");
  goldens_open_file(&goldens, "families.safetensors");
  tiny_pixels(&tiny, &(struct model_source){.folder = tiny_folder("tiny-taesd")}, &goldens, got);
  const uint8_t *want = golden(&goldens, "taesd.pixels");
  for (int i = 0; i < PIXELS * PIXELS * 3; i++) {
    assert_in_range(got[i] - want[i] + slack, 0, 2 * slack);
  }
  goldens_close(&goldens);
  tiny_close(&tiny);
  free(got);
}
static void tiny_decodes(void **state) {
  (void)state;
  tiny_decodes_on("ref", 1);
  tiny_decodes_on("cpu in f32", 1);
  tiny_decodes_on("cpu", 8);
}

/* The file as TAESD's authors write it: the decoder alone, layers counted from the clamp on. */
static void tiny_original_names(void **state) {
  (void)state;
  struct tiny tiny;
  struct goldens goldens;
  size_t bytes = PIXELS * PIXELS * 3;
  uint8_t *folder = malloc(bytes), *file = malloc(bytes);
  copy_and("tiny-taesd",
           "python3 $R/rename_tensors.py diffusion_pytorch_model.safetensors -encoder. "
           "$(for i in 0 2 4 5 7 8 10 11 12; do echo decoder.layers.$i.=$((i + 1)).; done) && "
           "mv diffusion_pytorch_model.safetensors taesd_decoder.safetensors");
  struct model_source single = {
      .folder = scratch(), .file = "taesd_decoder.safetensors", .configs = scratch()};
  tiny_open(&tiny, "ref", "tiny-eps");
  goldens_open_file(&goldens, "families.safetensors");
  tiny_pixels(&tiny, &(struct model_source){.folder = tiny_folder("tiny-taesd")}, &goldens, folder);
  tiny_pixels(&tiny, &single, &goldens, file);
  assert_memory_equal(file, folder, bytes);
  goldens_close(&goldens);
  tiny_close(&tiny);
  free(folder);
  free(file);
}

static void tiny_refusals(void **state) {
  (void)state;
  static const struct {
    const char *command, *reason;
  } rows[] = {
      {"sed -i 's/\"relu\"/\"mish\"/' config.json", "act_fn is 'mish'; implemented: 'relu'"},
      {"sed -i 's/\"latent_channels\": 4/\"latent_channels\": 16/' config.json",
       "decodes 16 channels to 8 pixels a cell, the model's latents have 4 and 8"},
      {"python3 $R/rename_tensors.py diffusion_pytorch_model.safetensors +decoder.layers.99.bias",
       "\"decoder.layers.99.bias\""},
  };
  struct tiny tiny;
  tiny_open(&tiny, "ref", "tiny-eps");
  size_t before = device_memory_used(tiny.device);
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    struct tiny_vae *decoder = NULL;
    copy_and("tiny-taesd", rows[i].command);
    assert_refused(tiny_vae_open(tiny.device, &(struct model_source){.folder = scratch()},
                                 model_family(tiny.model), &decoder),
                   rows[i].reason);
    assert_int_equal(device_memory_used(tiny.device), before);
  }
  tiny_close(&tiny);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(encodes),
      cmocka_unit_test(encodes_on_cpu),
      cmocka_unit_test(standard_latents),
      cmocka_unit_test(standard_picture),
      cmocka_unit_test(without_encoder),
      cmocka_unit_test(tiny_decodes),
      cmocka_unit_test(tiny_original_names),
      cmocka_unit_test(tiny_refusals),
  };
  return cmocka_run_group_tests_name("encode", tests, NULL, remove_scratch);
}
