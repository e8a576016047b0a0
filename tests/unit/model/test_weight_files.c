/* test_weight_files.c - which file of a folder is loaded, and what is said of those beside it. */
#include "worker/model/weight_files.h"

#include <sys/stat.h>

#include "tests/unit/model/tiny.h"

#define UNET "unet/diffusion_pytorch_model"

struct folder {
  char path[64];
};

static struct folder folder_with(const char *const *files) {
  struct folder folder = {"/tmp/darkroom-weights-XXXXXX"};
  char path[256];
  assert_non_null(mkdtemp(folder.path));
  snprintf(path, sizeof path, "%s/unet", folder.path);
  assert_int_equal(mkdir(path, 0700), 0);
  for (size_t i = 0; files[i] != NULL; i++) {
    snprintf(path, sizeof path, "%s/%s", folder.path, files[i]);
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    if (strstr(files[i], ".index.") != NULL) {
      fprintf(file,
              "{\"weight_map\":{\"b\":\"diffusion_pytorch_model-2-of-2.safetensors\","
              "\"a\":\"diffusion_pytorch_model-1-of-2.safetensors\"}}");
    }
    fclose(file);
  }
  return folder;
}

static void drop(const struct folder *folder) {
  char command[128];
  snprintf(command, sizeof command, "rm -rf %s", folder->path);
  tiny_shell(command);
}

static void full_precision_before_half_unless_named(void **state) {
  (void)state;
  static const struct {
    const char *files[4];
    const char *named[3];
    const char *chosen; /* or the reason of BAD_INPUT */
    enum status status;
  } cases[] = {
      {{UNET ".safetensors"}, {0}, UNET ".safetensors", OK},
      {{UNET ".fp16.safetensors"}, {0}, UNET ".fp16.safetensors", OK},
      {{UNET ".safetensors", UNET ".fp16.safetensors"}, {0}, UNET ".safetensors", OK},
      {{UNET ".safetensors", UNET ".fp16.safetensors"},
       {UNET ".fp16.safetensors"},
       UNET ".fp16.safetensors",
       OK},
      {{UNET ".safetensors", UNET ".fp16.safetensors"},
       {UNET ".safetensors", UNET ".fp16.safetensors"},
       UNET ".safetensors",
       OK},
      {{UNET ".safetensors", UNET ".fp16.safetensors"},
       {"vae/x", UNET ".fp16.safetensors"},
       UNET ".fp16.safetensors",
       OK},
      {{UNET ".safetensors"}, {"vae/x"}, "no sha256 is given", BAD_INPUT},
      {{UNET ".non_ema.safetensors"}, {0}, "none of", BAD_INPUT},
      {{UNET ".bin"}, {0}, "a pickle", BAD_INPUT},
      {{UNET ".safetensors.index.json", UNET ".fp16.safetensors"},
       {0},
       UNET ".safetensors.index.json",
       OK},
      {{UNET ".fp16.safetensors.index.json"}, {0}, UNET ".fp16.safetensors.index.json", OK},
      {{UNET ".safetensors.index.fp16.json"}, {0}, UNET ".safetensors.index.fp16.json", OK},
      {{UNET ".safetensors.index.json"},
       {UNET "-1-of-2.safetensors"},
       UNET ".safetensors.index.json",
       OK},
      {{UNET ".safetensors.index.json"}, {UNET ".safetensors"}, "no sha256 is given", BAD_INPUT},
      {{0}, {0}, "none of", BAD_INPUT},
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    struct folder folder = folder_with(cases[i].files);
    struct weight_hash hashes[2] = {{cases[i].named[0], "x"}, {cases[i].named[1], "x"}};
    size_t count = (cases[i].named[0] != NULL) + (cases[i].named[1] != NULL);
    struct model_source source = {.folder = folder.path, .hashes = hashes, .hash_count = count};
    char path[256] = "as it was";
    enum status status = weight_file_choose(&source, NETWORK_UNET, path, sizeof path);
    assert_int_equal(status, cases[i].status);
    if (status == OK) {
      assert_string_equal(path, cases[i].chosen);
    } else {
      assert_non_null(strstr(fail_reason(), cases[i].chosen));
      assert_string_equal(path, "as it was");
    }
    drop(&folder);
  }
}

static void a_variant_is_that_one_alone(void **state) {
  (void)state;
  static const char *const files[] = {UNET ".safetensors", UNET ".fp16.safetensors",
                                      UNET ".non_ema.safetensors", NULL};
  struct folder folder = folder_with(files);
  char path[256];
  struct model_source source = {.folder = folder.path, .variant = "non_ema"};
  assert_int_equal(weight_file_choose(&source, NETWORK_UNET, path, sizeof path), OK);
  assert_string_equal(path, UNET ".non_ema.safetensors");
  source.variant = "ema";
  assert_int_equal(weight_file_choose(&source, NETWORK_UNET, path, sizeof path), BAD_INPUT);
  assert_non_null(strstr(fail_reason(), UNET ".ema.safetensors"));
  assert_null(strstr(fail_reason(), UNET ".fp16.safetensors"));
  drop(&folder);
}

static void each_neighbour_has_its_reason(void **state) {
  (void)state;
  static const struct {
    const char *file, *why;
  } cases[] = {
      {"model.safetensors", NULL},
      {"config.json", NULL},
      {"README.md", NULL},
      {"model.fp16.safetensors", "half precision"},
      {"model.non_ema.safetensors", "before averaging"},
      {"model.safetensors.index.json", "several files"},
      {"model-00001-of-00002.safetensors", "several files"},
      {"model_of_mine.safetensors", "not a name"},
      {"pytorch_model.bin", "pickle"},
      {"pytorch_model.fp16.bin", "pickle"},
      {"sd-v1-5.ckpt", "pickle"},
      {"flax_model.msgpack", "another framework"},
      {"model.onnx", "another framework"},
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    const char *why = weight_file_left_out(cases[i].file, "model", "model.safetensors");
    if (cases[i].why == NULL) {
      assert_null(why);
    } else {
      assert_non_null(why);
      assert_non_null(strstr(why, cases[i].why));
    }
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(full_precision_before_half_unless_named),
      cmocka_unit_test(a_variant_is_that_one_alone),
      cmocka_unit_test(each_neighbour_has_its_reason),
  };
  return cmocka_run_group_tests_name("weight files", tests, NULL, NULL);
}
