/* test_model.c - opening folders that are right and wrong, memory, and rows that do not see each
 * other. */
#include "worker/model/model.h"

#include "tests/cases/device_rows.h"
#include "tests/unit/model/tiny.h"

#define ROWS 3
#define SIDE 8
#define CHANNELS 4
#define ROW_VALUES (SIDE * SIDE * CHANNELS)

/* ---- folders ---- */

static const char *scratch(void) {
  static char path[64];
  snprintf(path, sizeof path, "/tmp/darkroom-model-%d", getpid());
  return path;
}

/* A fresh copy of tiny-eps, then a shell command run in it. */
static void copy_and(const char *command) {
  char line[2048];
  snprintf(line, sizeof line, "rm -rf %s && cp -r %s %s && cd %s && %s", scratch(),
           tiny_folder("tiny-eps"), scratch(), scratch(), command);
  tiny_shell(line);
}

static enum status open_scratch(const struct weight_hash *hashes, size_t count) {
  struct device *device = NULL;
  struct model *model = NULL;
  struct model_source source = {.folder = scratch(), .hashes = hashes, .hash_count = count};
  assert_ok(device_open("ref", &(struct device_settings){.threads = 1}, &device));
  enum status status = model_open(device, &source, &model);
  model_close(&model);
  assert_int_equal(device_memory_used(device), 0);
  device_close(&device);
  return status;
}

static void folders_that_are_right(void **state) {
  (void)state;
  copy_and("true");
  assert_ok(open_scratch(NULL, 0));
  copy_and(
      "mv vae/diffusion_pytorch_model.safetensors vae/diffusion_pytorch_model.fp16.safetensors");
  assert_ok(open_scratch(NULL, 0));
  copy_and("echo x > vae/diffusion_pytorch_model.fp16.safetensors"); /* the unsuffixed file is
                                                                        preferred */
  assert_ok(open_scratch(NULL, 0));
  /* the encoder may be missing, and the text encoder's names may be without their prefix */
  copy_and(
      "sed -i 's/\"text_model\\.\\([^\"]*\\)\"/\"\\1\"           /g' "
      "text_encoder/model.safetensors");
  assert_ok(open_scratch(NULL, 0));
}

/* SD 1.5's own files have older names in the VAE, and the numbers 0..76 in the text encoder. */
static void older_names(void **state) {
  (void)state;
  static char root[200], command[1024];
  assert_non_null(getcwd(root, sizeof root));
  snprintf(
      command, sizeof command,
      "R=%s/tests/model/rename_tensors.py && "
      "python3 $R vae/diffusion_pytorch_model.safetensors attentions.0.to_q=attentions.0.query "
      "attentions.0.to_k=attentions.0.key attentions.0.to_v=attentions.0.value "
      "attentions.0.to_out.0=attentions.0.proj_attn && "
      "python3 $R text_encoder/model.safetensors +text_model.embeddings.position_ids",
      root);
  copy_and(command);
  assert_ok(open_scratch(NULL, 0));
}

#define UNET_FILE "unet/diffusion_pytorch_model.safetensors"
#define VAE_FILE "vae/diffusion_pytorch_model.safetensors"
static void folders_that_are_wrong(void **state) {
  (void)state;
  static const struct {
    const char *command, *reason;
  } rows[] = {
      {"rm " UNET_FILE, "none of " UNET_FILE},
      {"rm " UNET_FILE " && echo {} > " UNET_FILE ".index.json", "weight_map must be"},
      {"printf 'PK\\003\\004..........' > " UNET_FILE, "zip archive"},
      {"truncate -s -4 " UNET_FILE, "truncated"},
      {"sed -i 's/\"conv_out.bias\"/\"conv_out.bios\"/' " UNET_FILE,
       "\"conv_out.bias\" is missing"},
      {"sed -i 's/\"encoder.conv_in.bias\"/\"incoder.conv_in.bias\"/' " VAE_FILE,
       "\"encoder.conv_in.bias\" is missing"},
      {"sed -i 's/\"encoder.conv_in.weight\"/\"incoder.conv_in.weight\"/' " VAE_FILE,
       "1 tensors are not used by this model, the first is \"incoder.conv_in.weight\""},
      {"sed -i 's/32,/24,/' vae/config.json", "the config asks for"},
      {"rm tokenizer/merges.txt", "tokenizer/merges.txt"},
      {"sed -i 's/\"do_lower_case\": true/\"do_lower_case\": false/' "
       "tokenizer/tokenizer_config.json",
       "do_lower_case is false"},
      {"sed -i 's/77/76/' tokenizer/tokenizer_config.json", "model_max_length is 76"},
      {"echo '{\"cat-toy\": 568}' > tokenizer/added_tokens.json",
       "added tokens are not implemented"},
  };
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    copy_and(rows[i].command);
    assert_refused(open_scratch(NULL, 0), rows[i].reason);
  }
}

static char *sha256_of(const char *path) {
  static char sums[3][65];
  static int next;
  char *sum = sums[next++ % 3], command[256];
  snprintf(command, sizeof command, "sha256sum %s/%s", scratch(), path);
  FILE *pipe = popen(command, "r");
  assert_non_null(pipe);
  assert_int_equal(fscanf(pipe, "%64s", sum), 1);
  pclose(pipe);
  return sum;
}

static void hashes(void **state) {
  (void)state;
  copy_and("true");
  struct weight_hash sums[] = {
      {"text_encoder/model.safetensors", sha256_of("text_encoder/model.safetensors")},
      {"unet/diffusion_pytorch_model.safetensors",
       sha256_of("unet/diffusion_pytorch_model.safetensors")},
      {"vae/diffusion_pytorch_model.safetensors",
       sha256_of("vae/diffusion_pytorch_model.safetensors")},
      {"vae/other.safetensors", "00"},
  };
  assert_ok(open_scratch(sums, 3));
  assert_refused(open_scratch(sums, 2), "no sha256 is given");
  assert_refused(open_scratch(sums, 4), "it is not loaded");
  sums[1].sha256 = sums[2].sha256;
  assert_refused(open_scratch(sums, 3), "unet/diffusion_pytorch_model.safetensors: sha256 is");
}

static int remove_scratch(void **state) {
  (void)state;
  char command[128];
  snprintf(command, sizeof command, "rm -rf %s", scratch());
  tiny_shell(command);
  return 0;
}

/* ---- rows ---- */

/* Predicts rows first..first+count of three fixed rows into out. */
static void predict_rows(struct tiny *tiny, int first, int count, float *out) {
  static const char *const prompts[ROWS] = {"a lake", "", "a boat in the rain at night"};
  static const float timesteps[ROWS] = {1, 999, 333.25f};
  struct arena_mark mark = arena_mark(tiny->keep);
  struct conditioning conditioning[ROWS];
  const struct conditioning *conditionings[ROWS];
  float values[ROWS * ROW_VALUES];
  for (int i = 0; i < ROWS * ROW_VALUES; i++) {
    values[i] = (float)(i * 7919 % 1000) / 500 - 1;
  }
  for (int i = 0; i < count; i++) {
    assert_ok(model_condition(tiny->model, tiny->keep, tiny->turn,
                              &(struct condition){.prompt = prompts[first + i]}, &conditioning[i],
                              NULL));
    conditionings[i] = &conditioning[i];
  }
  struct predict predict = {0};
  assert_ok(device_prompt_rows(tiny->device, tiny->keep, timesteps + first, conditionings, count,
                               &predict.rows));
  enum element element = device_element(tiny->device);
  assert_ok(
      tensor_take(tiny->keep, element, TENSOR_SHAPE(count, SIDE, SIDE, CHANNELS), &predict.input));
  assert_ok(tensor_take(tiny->keep, ELEMENT_F32, TENSOR_SHAPE(count, SIDE, SIDE, CHANNELS),
                        &predict.prediction));
  tiny_put(tiny, values + first * ROW_VALUES, &predict.input);
  assert_ok(model_predict(tiny->model, tiny->turn, &predict));
  assert_ok(device_get(tiny->device, &predict.prediction, out, tensor_bytes(&predict.prediction)));
  arena_release(tiny->keep, mark);
}

static void rows_do_not_see_each_other_on(const char *device) {
  struct tiny tiny;
  float together[ROWS * ROW_VALUES], alone[ROW_VALUES];
  tiny_open(&tiny, device, "tiny-v");
  predict_rows(&tiny, 0, ROWS, together);
  for (int i = 0; i < ROWS; i++) {
    predict_rows(&tiny, i, 1, alone);
    assert_memory_equal(alone, together + i * ROW_VALUES, sizeof alone);
  }
  tiny_close(&tiny);
}
static void rows_do_not_see_each_other(void **state) {
  (void)state;
  rows_do_not_see_each_other_on("ref");
}
static void rows_do_not_see_each_other_on_cpu(void **state) {
  (void)state;
  rows_do_not_see_each_other_on("cpu");
}

/* ---- memory ---- */

static void too_little_memory(void **state) {
  (void)state;
  struct tiny tiny;
  struct arena *small = NULL;
  struct conditioning conditioning;
  tiny_open(&tiny, "ref", "tiny-v");
  assert_true(model_bytes(tiny.model) > 3000000);
  assert_ok(device_arena(tiny.device, 4096, &small));
  assert_int_equal(model_condition(tiny.model, small, tiny.turn, &(struct condition){.prompt = "a"},
                                   &conditioning, NULL),
                   EXHAUSTED);
  assert_int_equal(model_condition(tiny.model, tiny.keep, small, &(struct condition){.prompt = "a"},
                                   &conditioning, NULL),
                   EXHAUSTED);
  assert_int_equal(arena_used(small), 0);
  assert_int_equal(arena_used(tiny.keep), 0);
  assert_ok(model_condition(tiny.model, tiny.keep, tiny.turn, &(struct condition){.prompt = "a"},
                            &conditioning, NULL));
  const struct conditioning *conditionings[] = {&conditioning};
  struct predict predict = {0};
  assert_ok(
      device_prompt_rows(tiny.device, tiny.keep, (float[]){1}, conditionings, 1, &predict.rows));
  assert_ok(
      tensor_take(tiny.keep, ELEMENT_F32, TENSOR_SHAPE(1, SIDE, SIDE, CHANNELS), &predict.input));
  assert_ok(tensor_take(tiny.keep, ELEMENT_F32, TENSOR_SHAPE(1, SIDE, SIDE, CHANNELS),
                        &predict.prediction));
  assert_int_equal(model_predict(tiny.model, small, &predict), EXHAUSTED);
  assert_int_equal(arena_used(small), 0);
  arena_close(&small);
  tiny_close(&tiny);
}

/* A model larger than the device's memory is EXHAUSTED, and leaves nothing behind. */
static void device_too_small(void **state) {
  (void)state;
  struct device *device = NULL;
  struct model *model = NULL;
  struct model_source source = {.folder = tiny_folder("tiny-v")};
  assert_ok(
      device_open("ref", &(struct device_settings){.threads = 1, .memory_max = 1000000}, &device));
  assert_int_equal(model_open(device, &source, &model), EXHAUSTED);
  assert_int_equal(device_memory_used(device), 0);
  device_close(&device);
}

static void bytes_grow_with_rows_and_size(void **state) {
  (void)state;
  struct tiny tiny;
  tiny_open(&tiny, "ref", "tiny-v");
  size_t one = model_predict_bytes(tiny.model, 1, 8, 8);
  assert_true(one > 0 && model_predict_bytes(tiny.model, 2, 8, 8) > one);
  assert_true(model_predict_bytes(tiny.model, 1, 8, 16) > one);
  assert_true(model_predict_bytes(tiny.model, 64, 256, 256) < (size_t)1
                                                                  << 40); /* no memory is touched */
  assert_true(model_decode_bytes(tiny.model, 8, 16) > model_decode_bytes(tiny.model, 8, 8));
  tiny_close(&tiny);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(folders_that_are_right),
      cmocka_unit_test(older_names),
      cmocka_unit_test(folders_that_are_wrong),
      cmocka_unit_test(hashes),
      cmocka_unit_test(rows_do_not_see_each_other),
      cmocka_unit_test(rows_do_not_see_each_other_on_cpu),
      cmocka_unit_test(too_little_memory),
      cmocka_unit_test(device_too_small),
      cmocka_unit_test(bytes_grow_with_rows_and_size),
  };
  return cmocka_run_group_tests_name("model", tests, NULL, remove_scratch);
}
