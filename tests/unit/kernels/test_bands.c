/* test_bands.c - an image cut into bands of rows gives the picture of the image uncut, and no call
 * of oneDNN is long: progress is counted from within large ops. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#undef fail /* cmocka has a macro of this name */

#include "base/progress.h"
#include "kernels/cpu/bands.h"
#include "kernels/cpu/cpu.h"
#include "tests/cases/cases.h"
#include "tests/unit/kernels/wrong.h"

#define F32_ERROR 1e-10
#define BF16_ERROR 1e-5

static const struct op_case cases[] = {
    {.op = "conv2d",
     .name = "3x3",
     .batch = 2,
     .height = 37,
     .width = 21,
     .inputs = 24,
     .outputs = 40,
     .kernel = 3,
     .stride = 1,
     .pad_before = 1,
     .pad_after = 1},
    {.op = "conv2d",
     .name = "halved",
     .batch = 1,
     .height = 38,
     .width = 26,
     .inputs = 16,
     .outputs = 16,
     .kernel = 3,
     .stride = 2,
     .pad_before = 1,
     .pad_after = 1},
    {.op = "conv2d",
     .name = "halved, padded behind alone",
     .batch = 1,
     .height = 38,
     .width = 26,
     .inputs = 16,
     .outputs = 16,
     .kernel = 3,
     .stride = 2,
     .pad_before = 0,
     .pad_after = 1},
    {.op = "conv2d",
     .name = "added to",
     .batch = 2,
     .height = 19,
     .width = 30,
     .inputs = 32,
     .outputs = 32,
     .kernel = 3,
     .stride = 1,
     .pad_before = 1,
     .pad_after = 1,
     .residual = RESIDUAL_APART,
     .channel_add = true},
    {.op = "matmul",
     .name = "tokens",
     .batch = 2,
     .height = 333,
     .inputs = 48,
     .outputs = 80,
     .residual = RESIDUAL_APART},
    {.op = "matmul",
     .name = "activated",
     .batch = 1,
     .height = 130,
     .inputs = 32,
     .outputs = 64,
     .activation = ACTIVATION_GELU},
};
enum { CASES = sizeof cases / sizeof cases[0] };

static struct device *open_cpu(bool force_f32) {
  struct device_settings settings = {.threads = 2, .force_f32 = force_f32};
  struct device *device = NULL;
  assert_int_equal(device_open("cpu", &settings, &device), OK);
  return device;
}

static uint64_t counted; /* pieces of work, by the op that ran last */

/* The output in f32, when no call may be larger than work_max. The caller frees it. */
static float *output_of(struct device *device, const struct op_case *c, int64_t work_max,
                        int64_t *count) {
  static const int identities[] = {1, 2, 3, 4};
  struct case_run *run = NULL;
  library_cut_at(cpu_of(device)->library, work_max);
  assert_int_equal(case_open(device, c, c->batch, identities, &run), OK);
  uint64_t before = progress_counted();
  assert_int_equal(case_execute(run), OK);
  counted = progress_counted() - before;
  const struct tensor *y = case_output(run);
  size_t bytes = tensor_bytes(y);
  *count = tensor_count(y);
  void *raw = malloc(bytes);
  float *values = malloc((size_t)*count * sizeof *values);
  assert_int_equal(device_get(device, y, raw, bytes), OK);
  elements_to_f32(y->element, raw, *count, values);
  free(raw);
  case_close(&run);
  return values;
}

static double difference(const float *a, const float *b, int64_t count) {
  double squares = 0, power = 0;
  for (int64_t i = 0; i < count; i++) {
    squares += ((double)a[i] - b[i]) * ((double)a[i] - b[i]);
    power += (double)b[i] * b[i];
  }
  return squares / power;
}

static void a_cut_image_is_the_same_picture(void **state) {
  (void)state;
  for (int force_f32 = 0; force_f32 < 2; force_f32++) {
    struct device *device = open_cpu(force_f32 != 0);
    double most = device_element(device) == ELEMENT_F32 ? F32_ERROR : BF16_ERROR;
    for (int i = 0; i < CASES; i++) {
      int64_t count = 0;
      float *whole = output_of(device, &cases[i], INT64_MAX, &count);
      /* one line each, some lines each, and two very uneven bands */
      double operations = case_operations(&cases[i], 1);
      const double parts[] = {1000, 5, 1.1};
      for (int k = 0; k < 3; k++) {
        float *cut = output_of(device, &cases[i], (int64_t)(operations / parts[k]), &count);
        double error = difference(cut, whole, count);
        if (!(error <= most)) {
          WRONG("%s %s in %s cut to 1/%g differs by %g", cases[i].op, cases[i].name,
                element_name(device_element(device)), parts[k], error);
        }
        free(cut);
      }
      free(whole);
    }
    device_close(&device);
  }
}

/* Bands cover every output once, in order, and none is larger than it may be. */
static void bands_tile_the_image(void **state) {
  (void)state;
  struct problem p;
  memset(&p, 0, sizeof p);
  p.kind = PROBLEM_CONV;
  p.input = p.output = ELEMENT_BF16;
  p.stride = 1;
  p.pad_top = p.pad_bottom = p.pad_left = p.pad_right = 1;
  p.height = p.width = p.out_height = p.out_width = 2048;
  p.inputs = p.outputs = 256;
  p.kernel_height = p.kernel_width = 3;
  int64_t bands = bands_of(&p, BAND_WORK_MAX), lines = 0;
  assert_true(bands > 90);
  for (int64_t i = 0; i < bands; i++) {
    struct band band = band_cut(&p, i, bands);
    assert_true(band.problem.out_height > 0);
    assert_true(problem_work(&band.problem) <= BAND_WORK_MAX * 11 / 10);
    assert_int_equal(band.y_bytes, lines * 2048 * 256 * 2);
    assert_int_equal(band.x_bytes, (lines - (i > 0)) * 2048 * 256 * 2);
    assert_int_equal(band.problem.pad_top, i == 0);
    assert_int_equal(band.problem.pad_bottom, i == bands - 1);
    lines += band.problem.out_height;
  }
  assert_int_equal(lines, 2048);
  p.height = p.width = p.out_height = p.out_width = 64; /* what a 512x512 U-Net has is not cut */
  p.inputs = 960, p.outputs = 320;
  assert_int_equal(bands_of(&p, BAND_WORK_MAX), 1);
}

/* However an op is built, it is heard at least every so much work. */
static void large_ops_count_from_within(void **state) {
  (void)state;
  static const struct op_case large[] = {
      {.op = "conv2d",
       .name = "large",
       .batch = 1,
       .height = 64,
       .width = 64,
       .inputs = 64,
       .outputs = 64,
       .kernel = 3,
       .stride = 1,
       .pad_before = 1,
       .pad_after = 1},
      {.op = "attention",
       .name = "large",
       .batch = 1,
       .height = 8192,
       .inputs = 64,
       .outputs = 64,
       .heads = 1},
      {.op = "group_norm",
       .name = "large",
       .batch = 1,
       .height = 256,
       .width = 256,
       .inputs = 32,
       .outputs = 32,
       .groups = 8},
  };
  struct device *device = open_cpu(false);
  for (int i = 0; i < 3; i++) {
    int64_t count = 0;
    free(output_of(device, &large[i], (int64_t)(case_operations(&large[i], 1) / 7), &count));
    if (counted < 7) {
      WRONG("%s counted %d pieces", large[i].op, (int)counted);
    }
  }
  device_close(&device);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_cut_image_is_the_same_picture),
      cmocka_unit_test(bands_tile_the_image),
      cmocka_unit_test(large_ops_count_from_within),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
