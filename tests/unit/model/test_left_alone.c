/* test_left_alone.c - whatever is refused leaves the caller's result as it was.
 *
 * A handle that was opened, closed again and handed out all the same is used after it is freed; so
 * each door of this room gets folders and files with one fault each, and a result that must not
 * move. */
#include "kernels/device.h"
#include "tests/unit/model/tiny.h"
#include "worker/model/family.h"
#include "worker/model/tokenizer.h"
#include "worker/model/weights.h"

#define TOKENS "tokenizer/vocab.json"
#define MERGES "tokenizer/merges.txt"
#define UNET "unet/diffusion_pytorch_model.safetensors"

/* What a tool, a copy or a person does to a folder, as a shell command run inside it. */
static const struct fault {
  const char *command, *reason;
} tokenizer_faults[] = {
    {"rm " TOKENS, "vocab.json"},
    {"mv " TOKENS " tokenizer/tokenizer.json", "tokenizer.json alone"},
    {"iconv -f UTF-8 -t UTF-16 " TOKENS " >x && mv x " TOKENS, "UTF-16"},
    {"printf 'a\\0b' >>" MERGES, "zero byte"},
    {"sed -i 's/^{/{\"added_tokens_decoder\": {\"567\": {\"content\": \"<|endoftext|>\", "
     "\"lstrip\": true}},/' tokenizer/tokenizer_config.json",
     "lstrip"},
    {"rm " MERGES, "merges.txt"},
    {"sed -i 's/^{/{{/' " TOKENS, "vocab.json"},
    {"sed -i 's/^{/[/;s/}$/]/' " TOKENS, "vocab.json"},
    {"sed -i 's/\"<|endoftext|>\": */\"<|end|>\": /' " TOKENS, "<|endoftext|> is missing"},
    {"sed -i 's/\"<|startoftext|>\": */\"<|start|>\": /' " TOKENS, "<|startoftext|> is missing"},
    {"sed -i 1d " MERGES, "#version"},
    {"sed -n 2p " MERGES " >>" MERGES, "repeats line 2"},
    {"echo 'zzqq xxyy' >>" MERGES, "is not in vocab.json"},
    {"echo one >>" MERGES, "two symbols"},
    {"echo '{\"a\": 1}' >tokenizer/added_tokens.json", "added_tokens.json"},
    {"echo '{' >tokenizer/special_tokens_map.json", "special_tokens_map.json"},
};
static const struct fault folder_faults[] = {
    {"rm model_index.json", "model_index.json"},
    {"rm text_encoder/config.json", "text_encoder/config.json"},
    {"sed -i 's/^{/{\"act_fn\": \"relu\",/' unet/config.json", "unet/config.json"},
    {"sed -i 's/^{/{\"surprise\": 1,/' vae/config.json", "surprise"},
    {"sed -i 's/^{/{\"surprise\": 1,/' scheduler/scheduler_config.json", "surprise"},
};
static const struct fault weight_faults[] = {
    {"rm " UNET, UNET},
    {": >" UNET, "not a file with content"},
    {"truncate -s -1 " UNET, "truncated"},
    {"head -c 6 " UNET " >x && mv x " UNET, "too few"},
    {"printf x >>" UNET, "after the last tensor"},
    {"cp vae/diffusion_pytorch_model.safetensors " UNET, "missing"},
};
#define COUNT(table) (sizeof(table) / sizeof *(table))

static void run_in(const char *folder, const char *command) {
  char whole[1024];
  snprintf(whole, sizeof whole, "cd %s && { %s; }", folder, command);
  tiny_shell(whole);
}

/* A copy of the tiny model with one fault, removed by drop. */
static void copy_with(const struct fault *fault, char folder[64]) {
  char copy[512];
  snprintf(folder, 64, "/tmp/darkroom-left-XXXXXX");
  assert_non_null(mkdtemp(folder));
  snprintf(copy, sizeof copy, "cp -r %s/. %s", tiny_folder("tiny-eps"), folder);
  tiny_shell(copy);
  run_in(folder, fault->command);
}
static void drop(const char *folder) {
  char remove[128];
  snprintf(remove, sizeof remove, "rm -rf %s", folder);
  tiny_shell(remove);
}

static char mark; /* what a handle points to that nobody may touch */

static void open_model(const char *folder, const char *reason) {
  struct device *device = NULL;
  struct model *model = (struct model *)&mark;
  assert_ok(device_open("ref", NULL, &device));
  assert_refused(model_open(device, &(struct model_source){.folder = folder}, &model), reason);
  assert_ptr_equal(model, &mark);
  assert_int_equal(device_memory_used(device), 0); /* and nothing of it stays behind */
  device_close(&device);
}

static void a_refused_tokenizer(void **state) {
  (void)state;
  for (size_t i = 0; i < COUNT(tokenizer_faults); i++) {
    char folder[64];
    copy_with(&tokenizer_faults[i], folder);
    struct tokenizer *tokenizer = (struct tokenizer *)&mark;
    assert_refused(tokenizer_open(folder, "tokenizer",
                                  (struct tokenizer_shape){568, 77, PROMPT_PLAIN}, &tokenizer),
                   tokenizer_faults[i].reason);
    assert_ptr_equal(tokenizer, &mark);
    open_model(folder, tokenizer_faults[i].reason);
    drop(folder);
  }
}

static void a_refused_family(void **state) {
  (void)state;
  for (size_t i = 0; i < COUNT(folder_faults); i++) {
    char folder[64];
    copy_with(&folder_faults[i], folder);
    struct family family, before;
    memset(&family, 0x5a, sizeof family);
    memset(&before, 0x5a, sizeof before);
    assert_refused(family_read(folder, &family), folder_faults[i].reason);
    assert_memory_equal(&family, &before, sizeof family);
    open_model(folder, folder_faults[i].reason);
    drop(folder);
  }
}

static void refused_weights(void **state) {
  (void)state;
  for (size_t i = 0; i < COUNT(weight_faults); i++) {
    char folder[64];
    copy_with(&weight_faults[i], folder);
    open_model(folder, i == 0 ? "diffusion_pytorch_model.safetensors" : weight_faults[i].reason);
    char path[128];
    snprintf(path, sizeof path, "%s/" UNET, folder);
    struct weights *weights = (struct weights *)&mark;
    if (strcmp(weight_faults[i].reason, "missing") != 0) {
      assert_int_equal(weights_open(path, NULL, &weights), BAD_INPUT);
      assert_ptr_equal(weights, &mark);
    }
    drop(folder);
  }
}

static void a_refused_table_and_tensor(void **state) {
  (void)state;
  struct arena *arena = NULL;
  struct safetensors table = {.count = 7, .data = (const uint8_t *)&mark};
  static const char hole[] =
      "{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[4,8]}}12345678";
  uint8_t file[sizeof hole + 7] = {sizeof hole - 9};
  memcpy(file + 8, hole, sizeof hole - 1);
  assert_ok(arena_open(NULL, TINY_ARENA_BYTES, &arena));
  assert_refused(safetensors_read("f", file, sizeof file, arena, &table), "leaving a hole");
  assert_int_equal(table.count, 7);
  assert_ptr_equal(table.data, &mark);
  arena_close(&arena);

  char path[512];
  struct weights *weights = NULL;
  struct tensor tensor = {.data = &mark, .rank = 3};
  snprintf(path, sizeof path, "%s/" UNET, tiny_folder("tiny-eps"));
  assert_ok(weights_open(path, NULL, &weights));
  assert_refused(weights_take(weights, "conv_in.weight", TENSOR_SHAPE(1, 2), &tensor), "has shape");
  assert_refused(weights_take(weights, "nobody", TENSOR_SHAPE(1), &tensor), "is missing");
  assert_ptr_equal(tensor.data, &mark);
  assert_int_equal(tensor.rank, 3);
  weights_close(&weights);
}

static void refused_json(void **state) {
  (void)state;
  static const char *const texts[] = {"", "[1]", "{", "{\"a\":1,\"a\":2}", "{\"a\":{\"b\":{}}}"};
  for (size_t i = 0; i < COUNT(texts); i++) {
    json_t *root = (json_t *)&mark;
    assert_int_equal(
        config_json("x", texts[i], strlen(texts[i]), (struct json_rules){.depth_max = 2}, &root),
        BAD_INPUT);
    assert_ptr_equal(root, &mark);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_refused_tokenizer),
      cmocka_unit_test(a_refused_family),
      cmocka_unit_test(refused_weights),
      cmocka_unit_test(refused_json),
      cmocka_unit_test(a_refused_table_and_tensor),
  };
  return cmocka_run_group_tests_name("left alone", tests, NULL, NULL);
}
