/* test_cuda_launch_rows.c - what rows bring along (kernels/cuda/adapt.cu, adding.cu) against plain
 * loops: rows of every kind in one batch, tensors that begin anywhere, and a row alone. */
#include "base/limits.h"
#include "tests/unit/kernels/cuda_launch_check.h"

static void *send_bytes(const void *host, size_t bytes) {
  void *device = take_bytes(bytes);
  CUDA(cudaMemcpy(device, host, bytes, cudaMemcpyHostToDevice));
  return device;
}

static void *place(const struct values *values, int64_t at) {
  return (char *)values->device + (size_t)at * element_bytes(values->element);
}

static float rounded(enum element element, float value) {
  char held[4];
  elements_from_f32(element, &value, 1, held);
  elements_to_f32(element, held, 1, &value);
  return value;
}

/* ---- adapters ---- */

enum { MODULES = 2, RANK = 21 }; /* side by side; of the largest */

struct adapted {
  int64_t images, tokens, inputs, outputs;
  enum element element;
  struct values x, down, up, y; /* down and up: of all rows and modules, RANK apart */
  struct batch_row rows[BATCH_ROWS_MAX];
};

/* Row 1 has none, row 2 lacks the second module. */
static int32_t rank_of(int64_t image, int module) {
  return image % 4 == 1 || (image % 4 == 2 && module == 1) ? 0 : RANK - (int32_t)(image % 4) * 5;
}

static struct adapted take_adapted(const int64_t shape[4], enum element element, int shift) {
  int64_t images = shape[0], modules = images * MODULES;
  struct adapted a = {
      images,
      shape[1],
      shape[2],
      shape[3],
      element,
      .x = random_values(element, images * shape[1] * shape[2], shift, 1),
      .down = random_values(element, modules * RANK * shape[2], shift, 2),
      .up = random_values(element, modules * RANK * shape[3], shift, 3),
      .y = random_values(element, images * shape[1] * MODULES * shape[3], shift, 4)};
  for (int64_t b = 0; b < images; b++) {
    struct adapter_module told[1 + MODULES] = {{.rank = 1}}; /* the first is not asked for */
    for (int m = 0; m < MODULES; m++) {
      int64_t at = (b * MODULES + m) * RANK;
      told[1 + m] = (struct adapter_module){.down = place(&a.down, at * a.inputs),
                                            .up = place(&a.up, at * a.outputs),
                                            .rank = rank_of(b, m)};
    }
    a.rows[b].adapters = b % 4 == 1 ? NULL : send_bytes(told, sizeof told);
  }
  return a;
}

static void drop_adapted(struct adapted *a) {
  drop_values(&a->x);
  drop_values(&a->down);
  drop_values(&a->up);
  drop_values(&a->y);
}

/* Rows [first, first + count). */
static void run_adapt(const struct adapted *a, int64_t first, int64_t count) {
  const struct launch_adapt adapt = {
      .rows = send_bytes(a->rows + first, sizeof *a->rows * (size_t)count),
      .x = place(&a->x, first * a->tokens * a->inputs),
      .y = place(&a->y, first * a->tokens * MODULES * a->outputs),
      .element = (enum launch_element)a->element,
      .y_element = (enum launch_element)a->element,
      .images = count,
      .tokens = a->tokens,
      .inputs = a->inputs,
      .outputs = a->outputs,
      .first = 1,
      .modules = MODULES};
  CUDA(launch_adapt(&adapt, NULL));
}

/* Module m of one token: y += up (down x). */
static void adapt_token(const struct adapted *a, int64_t token, int m, float *y) {
  int64_t b = token / a->tokens, at = (b * MODULES + m) * RANK;
  int32_t rank = rank_of(b, m);
  const float *x = a->x.host + token * a->inputs, *down = a->down.host + at * a->inputs,
              *up = a->up.host + at * a->outputs;
  float inner[RANK] = {0};
  for (int r = 0; r < rank; r++) {
    double sum = 0;
    for (int64_t i = 0; i < a->inputs; i++) {
      sum += (double)down[r * a->inputs + i] * x[i];
    }
    inner[r] = rounded(a->element, (float)sum);
  }
  for (int64_t o = 0; o < a->outputs; o++) {
    double sum = 0;
    for (int r = 0; r < rank; r++) {
      sum += (double)up[o * rank + r] * inner[r];
    }
    y[o] += (float)sum;
  }
}

static void check_adapt(const int64_t shape[4], enum element element, int shift) {
  struct adapted a = take_adapted(shape, element, shift);
  int64_t all = MODULES * a.outputs;
  run_adapt(&a, 0, a.images);
  for (int64_t t = 0; t < a.images * a.tokens; t++) {
    for (int m = 0; m < MODULES; m++) {
      adapt_token(&a, t, m, a.y.host + t * all + m * a.outputs);
    }
  }
  check_error("adapt", a.y.host, &a.y, bound_of(element));
  drop_adapted(&a);
  give_back(NULL);
}

static void test_adapt(void **state) {
  (void)state;
  for (int e = 0; e < FLOAT_ELEMENTS; e++) {
    enum element element = float_elements[e];
    check_adapt((const int64_t[]){1, 1, 2, 1}, element, 0);
    check_adapt((const int64_t[]){4, 37, 64, 40}, element, 0);
    check_adapt((const int64_t[]){4, 16, 264, 300}, element, 0);
    check_adapt((const int64_t[]){3, 5, 64, 24}, element, 1); /* nothing begins where it should */
    check_adapt((const int64_t[]){2, 9, 70, 33}, element, 0);
  }
}

static void test_an_adapted_row_has_the_same_bits_alone(void **state) {
  (void)state;
  const int64_t shape[4] = {4, 21, 64, 40};
  struct adapted together = take_adapted(shape, ELEMENT_F16, 0),
                 alone = take_adapted(shape, ELEMENT_F16, 0);
  run_adapt(&together, 0, 4);
  for (int64_t b = 0; b < 4; b++) {
    run_adapt(&alone, b, 1);
  }
  check_bits("adapted rows", together.y.device, alone.y.device,
             (size_t)together.y.count * element_bytes(ELEMENT_F16));
  drop_adapted(&together);
  drop_adapted(&alone);
  give_back(NULL);
}

static void test_what_has_nothing_to_add_keeps_its_bits(void **state) {
  (void)state;
  const int64_t shape[4] = {2, 21, 64, 40};
  struct adapted a = take_adapted(shape, ELEMENT_BF16, 0);
  int64_t row = 21 * MODULES * 40;
  a.x.host[21 * 64 + 5] = NAN; /* of row 1, which has no adapters */
  send_values(&a.x);
  float *before = fetch_values(&a.y);
  run_adapt(&a, 0, 2);
  float *after = fetch_values(&a.y);
  assert_memory_equal(before + row, after + row, (size_t)row * sizeof *before);
  assert_memory_not_equal(before, after, (size_t)row * sizeof *before);
  free(before);
  free(after);
  drop_adapted(&a);
  give_back(NULL);
}

/* ---- controls ---- */

/* Image 0 has a hint that begins where it should, image 1 one that does not, image 2 none. */
static void check_controls(int64_t values, enum element element, int shift) {
  enum { IMAGES = 3, SKIP = 5 };
  struct values x = random_values(element, IMAGES * values, shift, 1),
                hints = random_values(element, IMAGES * values + 1, 0, 2),
                y = random_values(element, IMAGES * values, shift, 3);
  struct batch_control told[IMAGES] = {{0}};
  for (int b = 0; b < IMAGES; b++) {
    told[b].hint = b == 2 ? NULL : place(&hints, b * values + b);
    told[b].scale[SKIP] = b == 2 ? 0 : 0.5f + (float)b;
  }
  struct launch_control control = {.controls = send_bytes(told, sizeof told),
                                   .x = x.device,
                                   .y = y.device,
                                   .element = (enum launch_element)element,
                                   .images = IMAGES,
                                   .values = values,
                                   .skip = SKIP};
  CUDA(launch_control(&control, NULL));
  control.x = NULL;
  CUDA(launch_control(&control, NULL));
  for (int64_t i = 0; i < 2 * values; i++) {
    int64_t b = i / values;
    float sum = rounded(element, y.host[i] + told[b].scale[SKIP] * x.host[i]);
    y.host[i] = rounded(element, sum + hints.host[i + b]);
  }
  check_exact("controls", y.host, &y);
  drop_values(&x);
  drop_values(&hints);
  drop_values(&y);
  give_back(NULL);
}

static void test_controls(void **state) {
  (void)state;
  for (int e = 0; e < FLOAT_ELEMENTS; e++) {
    check_controls(1024, float_elements[e], 0);
    check_controls(1024, float_elements[e], 1);
    check_controls(37, float_elements[e], 0);
  }
}

static void test_orders_of_threads_change_nothing(void **state) {
  (void)state;
  run_in_other_orders("test_an_*");
}

int main(int count, char **words) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup_teardown(test_adapt, find_device, give_back),
      cmocka_unit_test_setup_teardown(test_an_adapted_row_has_the_same_bits_alone, find_device,
                                      give_back),
      cmocka_unit_test_setup_teardown(test_what_has_nothing_to_add_keeps_its_bits, find_device,
                                      give_back),
      cmocka_unit_test_setup_teardown(test_controls, find_device, give_back),
      cmocka_unit_test_setup_teardown(test_orders_of_threads_change_nothing, find_device,
                                      give_back),
  };
  choose_test(count, words);
  return cmocka_run_group_tests(tests, NULL, NULL);
}
