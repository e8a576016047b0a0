/* test_cuda_launch_values.c - what happens to each value by itself (kernels/cuda/pointwise.cu
 * and latents.cu), against plain loops: every type, lines of any length at any address,
 * values that are not finite. */
#include "tests/unit/kernels/cuda_launch_check.h"

/* ---- geglu ---- */

static void check_geglu(int64_t rows, int width, enum element element, int shift) {
  struct values x = random_values(element, rows * 2 * width, shift, 1),
                y = take_values(element, rows * width, shift);
  x.host[2 * width - 1] = NAN;
  x.host[0] = 40; /* times a gate that may be anything */
  send_values(&x);
  float *expected = malloc((size_t)y.count * sizeof *expected);
  assert_non_null(expected);
  const struct tensor from = {x.host, ELEMENT_F32, 2, {rows, 2 * width, 1, 1}},
                      to = {expected, ELEMENT_F32, 2, {rows, width, 1, 1}};
  assert_int_equal(ref_geglu(NULL, &from, &to), OK);
  const struct launch_geglu geglu = {x.device, y.device, (enum launch_element)element, rows, width};
  CUDA(launch_geglu(&geglu, NULL));
  check_error("geglu", expected, &y, bound_of(element));
  free(expected);
  drop_values(&x);
  drop_values(&y);
  give_back(NULL);
}

static void test_geglu(void **state) {
  (void)state;
  for (int e = 0; e < FLOAT_ELEMENTS; e++) {
    check_geglu(1, 1, float_elements[e], 0);
    check_geglu(15, 10, float_elements[e], 0);
    check_geglu(300, 24, float_elements[e], 0);
    check_geglu(9, 4104, float_elements[e], 0); /* two tiles of columns */
    check_geglu(3, 24, float_elements[e], 1);
  }
  const struct launch_geglu nothing = {NULL, NULL, LAUNCH_F16, 0, 8};
  CUDA(launch_geglu(&nothing, NULL));
}

/* ---- epilogue ---- */

struct epilogue_case {
  int64_t images, pixels;
  int channels, shift;
  bool bias, channel_add, residual;
};
static const struct epilogue_case epilogue_cases[] = {
    {1, 1, 1, 0, true, false, false},   {2, 35, 10, 0, true, true, true},
    {3, 40, 24, 0, true, true, false},  {2, 900, 8, 0, false, true, true},
    {16, 1, 320, 0, true, false, true}, {2, 3, 4104, 0, true, true, true},
    {2, 5, 16, 1, true, true, true},    {3, 7, 16, 0, false, false, false}};
enum { EPILOGUE_CASES = sizeof epilogue_cases / sizeof epilogue_cases[0] };

static void expect_epilogue(const struct epilogue_case *c, const struct launch_epilogue *launch,
                            const struct values *in, float *expected) {
  for (int64_t i = 0; i < in[0].count; i++) {
    int64_t channel = i % c->channels, image = i / (c->channels * c->pixels);
    float sum = in[0].host[i] + (launch->bias != NULL ? in[1].host[channel] : 0);
    float value = ref_activation(sum, (enum activation)launch->activation);
    value += c->channel_add ? in[2].host[image * c->channels + channel] : 0;
    expected[i] = value + (c->residual ? in[3].host[i] : 0);
  }
}

/* from, to: of x and y. in: x, bias, channel_add, residual. */
static void check_epilogue(const struct epilogue_case *c, enum element from, enum element to,
                           enum activation activation) {
  int64_t count = c->images * c->pixels * c->channels;
  struct values in[4] = {random_values(from, count, c->shift, 1),
                         random_values(ELEMENT_F32, c->channels, c->shift, 2),
                         random_values(from, c->images * c->channels, c->shift, 3),
                         random_values(to, count, c->shift, 4)},
                y = take_values(to, count, c->shift);
  in[0].host[count / 2] = INFINITY;
  send_values(&in[0]);
  const struct launch_epilogue launch = {.x = in[0].device,
                                         .y = y.device,
                                         .bias = c->bias ? in[1].device : NULL,
                                         .channel_add = c->channel_add ? in[2].device : NULL,
                                         .residual = c->residual ? in[3].device : NULL,
                                         .x_element = (enum launch_element)from,
                                         .element = (enum launch_element)to,
                                         .add_element = (enum launch_element)from,
                                         .activation = (enum launch_activation)activation,
                                         .images = c->images,
                                         .pixels = c->pixels,
                                         .channels = c->channels};
  float *expected = malloc((size_t)count * sizeof *expected);
  assert_non_null(expected);
  expect_epilogue(c, &launch, in, expected);
  CUDA(launch_epilogue(&launch, NULL));
  check_error("epilogue", expected, &y, bound_of(to));
  free(expected);
  for (int i = 0; i < 4; i++) {
    drop_values(&in[i]);
  }
  drop_values(&y);
  give_back(NULL);
}

static void test_epilogue(void **state) {
  (void)state;
  for (int i = 0; i < EPILOGUE_CASES; i++) {
    for (int pair = 0; pair < FLOAT_ELEMENTS * FLOAT_ELEMENTS; pair++) {
      check_epilogue(&epilogue_cases[i], float_elements[pair / FLOAT_ELEMENTS],
                     float_elements[pair % FLOAT_ELEMENTS],
                     (enum activation)((i + pair) % ACTIVATION_SOFT_CLAMP)); /* all but it */
    }
  }
}

/* y is x, and the residual is y where the product lies elsewhere. */
static void test_epilogue_in_place(void **state) {
  (void)state;
  struct values x = random_values(ELEMENT_F16, 640, 0, 1),
                y = random_values(ELEMENT_F16, 640, 0, 2);
  float expected[2][640];
  for (int i = 0; i < 640; i++) {
    expected[0][i] = x.host[i] + y.host[i];
    expected[1][i] = ref_activation(x.host[i], ACTIVATION_SILU);
  }
  struct launch_epilogue launch = {.x = x.device,
                                   .y = y.device,
                                   .residual = y.device,
                                   .x_element = LAUNCH_F16,
                                   .element = LAUNCH_F16,
                                   .images = 2,
                                   .pixels = 5,
                                   .channels = 64};
  CUDA(launch_epilogue(&launch, NULL));
  check_exact("residual in place", expected[0], &y);
  launch.y = x.device;
  launch.residual = NULL;
  launch.activation = LAUNCH_SILU;
  CUDA(launch_epilogue(&launch, NULL));
  check_error("product in place", expected[1], &x, bound_of(ELEMENT_F16));
  launch.activation = LAUNCH_SOFT_CLAMP; /* stands alone */
  assert_int_equal(launch_epilogue(&launch, NULL), cudaErrorInvalidValue);
  drop_values(&x);
  drop_values(&y);
}

/* ---- pixels ---- */

static void check_pixels(int64_t count, enum element element, int shift) {
  static const float special[] = {NAN, INFINITY, -INFINITY, 1, -1, 0, 0.25f, 1e30f, -0.0f};
  struct values x = random_values(element, count, shift, 5);
  for (size_t i = 0; i < sizeof special / sizeof special[0] && (int64_t)i < count; i++) {
    x.host[i] = special[i];
  }
  send_values(&x);
  uint8_t *y = (uint8_t *)take_bytes((size_t)count + GUARD_BYTES) + shift, *got, *expected;
  got = malloc((size_t)count);
  expected = malloc((size_t)count);
  assert_non_null(got);
  assert_non_null(expected);
  const struct tensor from = {x.host, ELEMENT_F32, 1, {count, 1, 1, 1}},
                      to = {expected, ELEMENT_U8, 1, {count, 1, 1, 1}};
  assert_int_equal(ref_pixels(NULL, &from, &to), OK);
  const struct launch_pixels pixels = {x.device, y, (enum launch_element)element, count};
  CUDA(launch_pixels(&pixels, NULL));
  CUDA(cudaMemcpy(got, y, (size_t)count, cudaMemcpyDeviceToHost));
  assert_memory_equal(got, expected, (size_t)count);
  free(got);
  free(expected);
  drop_values(&x);
  give_back(NULL);
}

static void test_pixels(void **state) {
  (void)state;
  for (int e = 0; e < FLOAT_ELEMENTS; e++) {
    check_pixels(3, float_elements[e], 0);
    check_pixels(7 * 9 * 3, float_elements[e], 0);
    check_pixels(3 * 64 * 64, float_elements[e], 0);
    check_pixels(100, float_elements[e], 3);
  }
}

/* ---- finite ---- */

/* Image 1 is finite, the others hold one value that is not, the last in their last value. */
static void check_finite(int64_t images, int64_t each, enum element element, int shift) {
  struct values x = random_values(element, images * each, shift, 6);
  for (int64_t b = 0; b < images; b++) {
    if (b != 1) {
      x.host[b * each + (b == images - 1 ? each - 1 : each / 3)] = b % 3 == 0   ? NAN
                                                                   : b % 3 == 1 ? INFINITY
                                                                                : -INFINITY;
    }
  }
  send_values(&x);
  int32_t *verdicts = take_bytes((size_t)images * sizeof *verdicts), got[64];
  const struct launch_finite finite = {x.device, verdicts, (enum launch_element)element, images,
                                       each};
  for (int before = 0; before < 2; before++) { /* what was there, in every byte */
    CUDA(cudaMemset(verdicts, before, (size_t)images * sizeof *verdicts));
    CUDA(launch_finite(&finite, NULL));
    CUDA(cudaMemcpy(got, verdicts, (size_t)images * sizeof *got, cudaMemcpyDeviceToHost));
    for (int64_t b = 0; b < images; b++) {
      assert_int_equal(got[b], b == 1);
    }
  }
  drop_values(&x);
  give_back(NULL);
}

static void test_finite(void **state) {
  (void)state;
  for (int e = 0; e < FLOAT_ELEMENTS; e++) {
    check_finite(2, 1, float_elements[e], 0);
    check_finite(4, 189, float_elements[e], 0);
    check_finite(3, 9000, float_elements[e], 0);
    check_finite(64, 16, float_elements[e], 0);
    check_finite(3, 16, float_elements[e], 1);
  }
  const float largest = 65504;
  struct values x = take_values(ELEMENT_F16, 8, 0);
  for (int i = 0; i < 8; i++) {
    x.host[i] = i % 2 == 0 ? largest : -largest;
  }
  send_values(&x);
  int32_t *verdict = take_bytes(sizeof *verdict), got;
  const struct launch_finite finite = {x.device, verdict, LAUNCH_F16, 1, 8};
  CUDA(launch_finite(&finite, NULL));
  CUDA(cudaMemcpy(&got, verdict, sizeof got, cudaMemcpyDeviceToHost));
  assert_int_equal(got, 1);
  drop_values(&x);
}

int main(int count, char **words) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup_teardown(test_geglu, find_device, give_back),
      cmocka_unit_test_setup_teardown(test_epilogue, find_device, give_back),
      cmocka_unit_test_setup_teardown(test_epilogue_in_place, find_device, give_back),
      cmocka_unit_test_setup_teardown(test_pixels, find_device, give_back),
      cmocka_unit_test_setup_teardown(test_finite, find_device, give_back),
  };
  choose_test(count, words);
  return cmocka_run_group_tests(tests, NULL, NULL);
}
