/* test_threads.c - the bits of a row do not depend on how many threads worked on it, 1 to 16, also
 * where pixels, rows and channels cannot be dealt out evenly. */
#include "tests/unit/kernels/outputs.h"

/* Fields as in cases.def. Sizes that no number of threads from 2 to 16 divides evenly, and the
 * sizes of real models whose sums a library is tempted to cut. */
#define CONV(title, high, wide, from, to, ...)                                                \
  {                                                                                           \
    .op = "conv2d", .name = title, .batch = 1, .height = high, .width = wide, .inputs = from, \
    .outputs = to, .kernel = 3, .stride = 1, .pad_before = 1, .pad_after = 1, __VA_ARGS__     \
  }
#define PRODUCT(title, rows, from, to, ...)                                                   \
  {                                                                                           \
    .op = "matmul", .name = title, .batch = 1, .height = rows, .inputs = from, .outputs = to, \
    __VA_ARGS__                                                                               \
  }
static const struct op_case uneven[] = {
    CONV("first", 32, 32, 4, 320),
    CONV("a prime picture", 37, 29, 96, 96),
    CONV("demo at 256", 16, 16, 256, 128),
    CONV("demo's skip at 256", 16, 16, 288, 128),
    CONV("last", 32, 32, 320, 4),
    CONV("u-net 16", 16, 16, 320, 320),
    CONV("u-net 8", 8, 8, 640, 640),
    CONV("u-net 4", 4, 4, 640, 640),
    CONV("residual", 17, 13, 160, 160, .residual = RESIDUAL_APART),
    CONV("time", 16, 16, 160, 320, .channel_add = true),
    CONV("decoder 32", 32, 32, 512, 512),
    CONV("decoder 128", 128, 128, 32, 32),
    CONV("picture", 97, 101, 64, 3, .f32_out = true),
    CONV("odd channels", 31, 33, 20, 36),
    PRODUCT("a row", 1, 1280, 1280),
    PRODUCT("text", 77, 768, 640),
    PRODUCT("prime rows", 997, 160, 160),
    PRODUCT("feed out", 256, 1280, 320, .residual = RESIDUAL_IN_PLACE),
    PRODUCT("deep", 64, 2560, 320),
    PRODUCT("odd", 101, 44, 52),
};
enum { UNEVEN = sizeof uneven / sizeof uneven[0], THREADS_MAX = 16 };

static int differing; /* all are shown before the test fails */

static void compare(struct device *one, struct device *many, const struct op_case *c) {
  struct output by_one = output_of(one, c, c->batch, in_order);
  struct output by_many = output_of(many, c, c->batch, in_order);
  if (memcmp(by_one.bytes, by_many.bytes, tensor_bytes(&by_one.shape)) != 0) {
    print_error("%s: differs from one thread\n", label(many, c));
    differing++;
  }
  free(by_one.bytes);
  free(by_many.bytes);
}

static void compare_all(bool force_f32) {
  struct device *one = NULL;
  struct device_settings settings = {.threads = 1, .force_f32 = force_f32};
  differing = 0;
  assert_int_equal(device_open("cpu", &settings, &one), OK);
  for (settings.threads = 2; settings.threads <= THREADS_MAX; settings.threads++) {
    struct device *many = NULL;
    assert_int_equal(device_open("cpu", &settings, &many), OK);
    /* our own ops deal out pieces, whatever their number: a few counts of threads show it */
    bool all_ops = settings.threads == 3 || settings.threads == 7;
    for (int i = 0; all_ops && i < op_case_count; i++) {
      if (op_cases[i].place == CASE_TEST) {
        compare(one, many, &op_cases[i]);
      }
    }
    for (int i = 0; i < UNEVEN; i++) {
      compare(one, many, &uneven[i]);
    }
    device_close(&many);
  }
  device_close(&one);
  assert_int_equal(differing, 0);
}

static void in_bf16_where_the_processor_has_it(void **state) {
  (void)state;
  compare_all(false);
}

static void in_f32(void **state) {
  (void)state;
  compare_all(true);
}

int main(int count, char **words) {
  (void)count;
  device_calm_threads(words);
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(in_bf16_where_the_processor_has_it),
      cmocka_unit_test(in_f32),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
