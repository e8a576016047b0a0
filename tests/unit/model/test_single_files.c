/* test_single_files.c - the same weights in a folder and in one file under the original names: the
 * same tensors, byte for byte, and nothing left over.
 */
#include "kernels/device.h"
#include "tests/unit/model/tiny.h"
#include "worker/model/checkpoint.h"
#include "worker/model/weight_files.h"
#include "worker/model/weights.h"

#define SINGLE TINY_FIXTURES "/single"

static const struct {
  const char *folder;
  enum network network[5];
} models[] = {
    {"tiny-eps", {NETWORK_VAE, NETWORK_UNET, NETWORK_TEXT}},
    {"tiny-inpaint", {NETWORK_VAE, NETWORK_UNET, NETWORK_TEXT}},
    {"tiny-lcm", {NETWORK_VAE, NETWORK_UNET, NETWORK_TEXT}},
    {"tiny-sd2", {NETWORK_VAE, NETWORK_UNET, NETWORK_TEXT}},
    {"tiny-xl", {NETWORK_VAE, NETWORK_UNET, NETWORK_TEXT, NETWORK_TEXT_2}},
    {"tiny-refiner", {NETWORK_VAE, NETWORK_UNET, NETWORK_TEXT_2}},
    {"tiny-control", {NETWORK_CONTROL}},
    {"tiny-control-xl", {NETWORK_CONTROL}},
};
#define MODELS (sizeof models / sizeof *models)

/* A 1x1 convolution is a matrix: where one layout has it with more sides, these are ones. */
static void assert_same_shape(const char *name, const struct tensor *a, const struct tensor *b) {
  for (int i = 0; i < TENSOR_RANK_MAX; i++) {
    if (a->shape[i] != b->shape[i]) {
      fail_msg("%s: side %d is %lld and %lld", name, i, (long long)a->shape[i],
               (long long)b->shape[i]);
    }
  }
}

static void take(struct weights *weights, const char *name, struct tensor *out) {
  static const int64_t any[TENSOR_RANK_MAX] = {-1, -1, -1, -1};
  assert_ok(weights_take(weights, name, weights_rank(weights, name), any, out));
}

static void compare(const struct model_source *folder, const struct model_source *single,
                    enum network network) {
  struct checkpoint *files[2] = {NULL};
  struct weights *weights[2] = {NULL};
  assert_ok(checkpoint_open(folder, &files[0]));
  assert_ok(checkpoint_open(single, &files[1]));
  for (int i = 0; i < 2; i++) {
    assert_ok(weights_open_network(files[i], network, &weights[i]));
  }
  size_t count = 0;
  for (const char *name = NULL; (name = weights_name(weights[0], count)) != NULL; count++) {
    struct tensor a, b;
    take(weights[0], name, &a);
    take(weights[1], name, &b);
    assert_same_shape(name, &a, &b);
    assert_int_equal(a.element, b.element);
    assert_memory_equal(a.data, b.data, tensor_bytes(&a));
    if (count % 7 == 0) {
      weights_give_back(weights[0]);
      weights_give_back(weights[1]);
      assert_memory_equal(a.data, a.data, 1); /* pages come again */
    }
  }
  assert_true(count > 20);
  assert_ok(weights_all_used(weights[1]));
  for (int i = 0; i < 2; i++) {
    weights_close(&weights[i]);
    checkpoint_close(&files[i]);
  }
}

static void both_layouts_hold_the_same_tensors(void **state) {
  (void)state;
  for (size_t i = 0; i < MODELS; i++) {
    char folder[256], file[64];
    snprintf(folder, sizeof folder, "%s", tiny_folder(models[i].folder));
    snprintf(file, sizeof file, "%s.safetensors", models[i].folder);
    struct model_source a = {.folder = folder}, b = {.folder = SINGLE, .file = file};
    for (int k = 0; k < 5 && models[i].network[k] != NETWORK_NONE; k++) {
      compare(&a, &b, models[i].network[k]);
    }
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(both_layouts_hold_the_same_tensors),
  };
  return cmocka_run_group_tests_name("single files", tests, NULL, NULL);
}
