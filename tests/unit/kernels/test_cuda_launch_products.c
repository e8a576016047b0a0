/* test_cuda_launch_products.c - every way that a product can go (kernels/cuda/product*.cu) against
 * double loops: each tile and each width of copies, ragged at every edge, with all that follows. */
#include "tests/unit/kernels/cuda_launch_check.h"

struct shape {
  int images, height, width, inputs, outputs;
  int kernel, stride, pad_top, pad_left;
  int out_height, out_width;
  int doubled;                   /* y is one parity of a picture of twice the sides */
  int shift;                     /* values between x, w, y and an address that is aligned */
  int bias, add, add_f32, y_f32; /* add: the time embedding */
  enum { NOTHING, APART, IN_PLACE } residual;
  enum launch_activation activation;
};

/* In 16 bits. f32 copies four values at a time or one. */
static const struct shape shapes[] = {
    /* one tile of 64x64, in eights; the last step of the depth is half a step */
    {1, 5, 7, 16, 24, 3, 1, 1, 1, 5, 7, .bias = 1},
    {3, 9, 9, 8, 72, 3, 1, 1, 1, 9, 9, .add = 1, .residual = APART}, /* images share tiles */
    {2, 11, 6, 40, 65, 3, 2, 1, 1, 6, 3, .bias = 1, .add = 1, .add_f32 = 1},
    {2, 6, 11, 8, 8, 3, 2, 0, 0, 3, 5, .y_f32 = 1}, /* padding behind only */
    {2, 1, 1, 320, 136, 1, 1, 0, 0, 1, 1, .bias = 1, .activation = LAUNCH_SILU},
    {2, 1, 77, 264, 40, 1, 1, 0, 0, 1, 77, .bias = 1, .activation = LAUNCH_QUICK_GELU},
    {1, 1, 130, 32, 70, 1, 1, 0, 0, 1, 130, .activation = LAUNCH_GELU, .residual = IN_PLACE},
    /* a doubling convolution's parities */
    {2, 5, 6, 8, 16, 2, 1, 1, 1, 5, 6, .doubled = 1, .bias = 1},
    {2, 5, 6, 24, 12, 2, 1, 0, 1, 5, 6, .doubled = 1},
    {1, 5, 6, 4, 3, 2, 1, 1, 0, 5, 6, .doubled = 1, .residual = IN_PLACE},
    {1, 5, 6, 6, 8, 2, 1, 0, 0, 5, 6, .doubled = 1, .residual = APART},
    /* narrower copies: fours, twos, ones */
    {2, 8, 9, 4, 40, 3, 1, 1, 1, 8, 9, .bias = 1},
    {2, 7, 5, 12, 10, 3, 1, 1, 1, 7, 5, .y_f32 = 1, .residual = APART},
    {3, 7, 5, 6, 10, 3, 1, 1, 1, 7, 5, .add = 1},
    {3, 1, 5, 10, 6, 1, 1, 0, 0, 1, 5, .y_f32 = 1, .bias = 1},
    {2, 6, 6, 3, 8, 3, 2, 1, 1, 3, 3, .bias = 1, .activation = LAUNCH_SILU},
    {1, 4, 4, 1, 1, 3, 1, 1, 1, 4, 4, .bias = 1},
    {1, 1, 3, 5, 3, 1, 1, 0, 0, 1, 3, .residual = IN_PLACE},
    /* aligned for less than the shape allows */
    {2, 5, 7, 16, 24, 3, 1, 1, 1, 5, 7, .bias = 1, .residual = IN_PLACE, .shift = 1},
    {1, 5, 7, 16, 24, 3, 1, 1, 1, 5, 7, .add = 1, .residual = APART, .shift = 2},
    {1, 5, 7, 16, 24, 3, 1, 1, 1, 5, 7, .y_f32 = 1, .shift = 4},
    /* the larger tiles: 128x64 and 128x128 */
    {1, 61, 126, 8, 9, 1, 1, 0, 0, 61, 126, .bias = 1},
    {2, 30, 51, 8, 600, 1, 1, 0, 0, 30, 51, .bias = 1, .add = 1, .residual = APART},
    {1, 1, 1410, 40, 616, 1, 1, 0, 0, 1, 1410, .bias = 1, .residual = IN_PLACE},
};
enum { SHAPES = sizeof shapes / sizeof shapes[0] };

/* A product, its operands, and what a double loop makes of them. */
struct problem {
  const struct shape *shape;
  struct values x, w, bias, add, residual, y;
  float *expected; /* of all of y, also where nothing is written */
  struct launch_product launch;
};

static int y_height(const struct shape *s) { return s->out_height * (1 + s->doubled); }
static int y_width(const struct shape *s) { return s->out_width * (1 + s->doubled); }

static struct launch_product launch_of(const struct problem *p) {
  const struct shape *s = p->shape;
  const int apart = 1 + s->doubled;
  return (struct launch_product){.x = p->x.device,
                                 .w = p->w.device,
                                 .bias = s->bias ? p->bias.device : NULL,
                                 .channel_add = s->add ? p->add.device : NULL,
                                 .residual = s->residual == NOTHING ? NULL
                                             : s->residual == APART ? p->residual.device
                                                                    : p->y.device,
                                 .y = p->y.device,
                                 .element = (enum launch_element)p->x.element,
                                 .y_element = (enum launch_element)p->y.element,
                                 .add_element = (enum launch_element)p->add.element,
                                 .activation = s->activation,
                                 .images = s->images,
                                 .height = s->height,
                                 .width = s->width,
                                 .inputs = s->inputs,
                                 .out_height = s->out_height,
                                 .out_width = s->out_width,
                                 .outputs = s->outputs,
                                 .kernel_height = s->kernel,
                                 .kernel_width = s->kernel,
                                 .stride = s->stride,
                                 .pad_top = s->pad_top,
                                 .pad_left = s->pad_left,
                                 .y_image = (int64_t)y_height(s) * y_width(s) * s->outputs,
                                 .y_row = (int64_t)apart * y_width(s) * s->outputs,
                                 .y_pixel = (int64_t)apart * s->outputs};
}

/* Weights of a size that keeps the sums near one. */
static struct values take_weights(enum element element, const struct shape *s) {
  int64_t depth = (int64_t)s->kernel * s->kernel * s->inputs;
  struct values w = random_values(element, s->outputs * depth, s->shift, 2);
  for (int64_t i = 0; i < w.count; i++) {
    w.host[i] /= sqrtf((float)depth);
  }
  send_values(&w);
  return w;
}

static struct problem take_problem(const struct shape *s, enum element element) {
  enum element y = s->y_f32 ? ELEMENT_F32 : element;
  int64_t x_count = (int64_t)s->images * s->height * s->width * s->inputs;
  int64_t y_count = (int64_t)s->images * y_height(s) * y_width(s) * s->outputs;
  struct problem p = {
      .shape = s,
      .x = random_values(element, x_count, s->shift, 1),
      .w = take_weights(element, s),
      .bias = random_values(ELEMENT_F32, s->outputs, s->shift, 3),
      .add = random_values(s->add_f32 ? ELEMENT_F32 : element, s->images * s->outputs, 0, 4),
      .residual = random_values(y, y_count, s->shift, 5),
      .y = random_values(y, y_count, s->shift, 6),
      .expected = malloc((size_t)y_count * sizeof(float))};
  assert_non_null(p.expected);
  p.launch = launch_of(&p);
  return p;
}

static void drop_problem(struct problem *p) {
  struct values *all[] = {&p->x, &p->w, &p->bias, &p->add, &p->residual, &p->y};
  for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
    drop_values(all[i]);
  }
  free(p->expected);
  give_back(NULL);
}

/* ---- the double loop ---- */

static double activated(double v, enum launch_activation activation) {
  switch (activation) {
    case LAUNCH_SILU:
      return v / (1 + exp(-v));
    case LAUNCH_GELU:
      return v * (1 + erf(v / sqrt(2))) / 2;
    case LAUNCH_QUICK_GELU:
      return v / (1 + exp(-1.702 * v));
    default:
      return v;
  }
}

static double sum_of(const struct problem *p, const int at[4]) { /* image, row, column, output */
  const struct shape *s = p->shape;
  double sum = 0;
  for (int tap = 0; tap < s->kernel * s->kernel; tap++) {
    int row = at[1] * s->stride - s->pad_top + tap / s->kernel;
    int column = at[2] * s->stride - s->pad_left + tap % s->kernel;
    if (row < 0 || row >= s->height || column < 0 || column >= s->width) {
      continue;
    }
    int64_t pixel = ((int64_t)at[0] * s->height + row) * s->width + column;
    const float *x = p->x.host + pixel * s->inputs;
    const float *w = p->w.host + ((int64_t)at[3] * s->kernel * s->kernel + tap) * s->inputs;
    for (int c = 0; c < s->inputs; c++) {
      sum += (double)x[c] * w[c];
    }
  }
  return sum;
}

static void expect_one(struct problem *p, const int at[4]) {
  const struct shape *s = p->shape;
  int64_t to =
      at[0] * p->launch.y_image + at[1] * p->launch.y_row + at[2] * p->launch.y_pixel + at[3];
  double v = sum_of(p, at) + (s->bias ? (double)p->bias.host[at[3]] : 0);
  v = activated(v, s->activation);
  v += s->add ? (double)p->add.host[at[0] * s->outputs + at[3]] : 0;
  v += s->residual == NOTHING ? 0
       : s->residual == APART ? (double)p->residual.host[to]
                              : (double)p->y.host[to];
  p->expected[to] = (float)v;
}

static void expect_all(struct problem *p) {
  const struct shape *s = p->shape;
  memcpy(p->expected, p->y.host, (size_t)p->y.count * sizeof(float));
  int at[4];
  for (at[0] = 0; at[0] < s->images; at[0]++) {
    for (at[1] = 0; at[1] < s->out_height; at[1]++) {
      for (at[2] = 0; at[2] < s->out_width; at[2]++) {
        for (at[3] = 0; at[3] < s->outputs; at[3]++) {
          expect_one(p, at);
        }
      }
    }
  }
}

/* ---- the tests ---- */

/* In other orders the large ones in one type are enough. */
static bool is_left_out(const struct shape *s, enum element element) {
  return is_again() && s->out_height * s->out_width > 1000 && element != ELEMENT_F16;
}

static const char *name_of(const struct shape *s) {
  static char text[120];
  snprintf(text, sizeof text, "product %d of %dx%dx%d by %dx%d to %dx%dx%d", s->images, s->height,
           s->width, s->inputs, s->kernel, s->kernel, s->out_height, s->out_width, s->outputs);
  return text;
}

static void test_every_shape_agrees_with_a_double_loop(void **state) {
  (void)state;
  for (int i = 0; i < SHAPES; i++) {
    for (int e = 0; e < FLOAT_ELEMENTS; e++) {
      if (is_left_out(&shapes[i], float_elements[e])) {
        continue;
      }
      struct problem p = take_problem(&shapes[i], float_elements[e]);
      expect_all(&p);
      CUDA(launch_product(&p.launch, NULL));
      check_error(name_of(&shapes[i]), p.expected, &p.y, bound_of(p.y.element));
      drop_problem(&p);
    }
  }
}

/* Image b of the same operands, alone. */
static struct launch_product alone(const struct problem *p, int b) {
  const struct shape *s = p->shape;
  struct launch_product launch = p->launch;
  size_t value = element_bytes(p->x.element), out = element_bytes(p->y.element);
  launch.images = 1;
  launch.x = (const char *)launch.x + (size_t)(b * s->height * s->width * s->inputs) * value;
  if (launch.channel_add != NULL) {
    launch.channel_add =
        (const char *)launch.channel_add + (size_t)(b * s->outputs) * element_bytes(p->add.element);
  }
  launch.y = (char *)launch.y + (size_t)(b * launch.y_image) * out;
  if (launch.residual != NULL) {
    launch.residual = (const char *)launch.residual + (size_t)(b * launch.y_image) * out;
  }
  return launch;
}

static void test_an_image_does_not_depend_on_the_others(void **state) {
  (void)state;
  for (int i = 0; i < SHAPES; i++) {
    for (int e = 0; e < FLOAT_ELEMENTS && shapes[i].images > 1; e++) {
      if (is_left_out(&shapes[i], float_elements[e])) {
        continue;
      }
      struct problem together = take_problem(&shapes[i], float_elements[e]);
      struct problem apart = take_problem(&shapes[i], float_elements[e]);
      CUDA(launch_product(&together.launch, NULL));
      for (int b = 0; b < shapes[i].images; b++) {
        struct launch_product launch = alone(&apart, b);
        CUDA(launch_product(&launch, NULL));
      }
      check_bits(name_of(&shapes[i]), together.y.device, apart.y.device,
                 (size_t)together.y.count * element_bytes(together.y.element));
      drop_problem(&together);
      drop_problem(&apart);
    }
  }
}

/* Zeros fill what lies outside: a NaN beside the last row, or in another output's weights, stays
 * where it is. */
static void test_a_nan_stays_in_its_rows_and_columns(void **state) {
  (void)state;
  static const struct shape shape = {2, 3, 3, 8, 10, 3, 1, 1, 1, 3, 3, .bias = 1};
  for (int e = 0; e < FLOAT_ELEMENTS; e++) {
    struct problem p = take_problem(&shape, float_elements[e]);
    for (int c = 0; c < shape.inputs; c++) {
      p.x.host[9 * shape.inputs + c] = NAN; /* the first pixel of the second image */
      p.w.host[72 * (shape.outputs - 1) + 4 * 8 + c] = INFINITY; /* the tap in the middle */
    }
    send_values(&p.x);
    send_values(&p.w);
    expect_all(&p);
    CUDA(launch_product(&p.launch, NULL));
    float *got = fetch_values(&p.y);
    for (int64_t i = 0; i < p.y.count; i++) {
      if (isfinite(got[i]) != isfinite(p.expected[i])) {
        WRONG("value %d is %g, not %g", (int)i, (double)got[i], (double)p.expected[i]);
      }
    }
    free(got);
    drop_problem(&p);
  }
}

static void test_what_cannot_be_done_is_refused(void **state) {
  (void)state;
  struct problem p = take_problem(&shapes[0], ELEMENT_F16);
  struct launch_product rows = p.launch, taps = p.launch, depth = p.launch, clamped = p.launch;
  rows.images = INT64_C(1) << 31;
  taps.kernel_height = 33;
  taps.kernel_width = 1;
  depth.inputs = INT64_C(1) << 28;
  clamped.activation = LAUNCH_SOFT_CLAMP; /* stands alone */
  assert_int_equal(launch_product(&rows, NULL), cudaErrorInvalidValue);
  assert_int_equal(launch_product(&taps, NULL), cudaErrorInvalidValue);
  assert_int_equal(launch_product(&depth, NULL), cudaErrorInvalidValue);
  assert_int_equal(launch_product(&clamped, NULL), cudaErrorInvalidValue);
  drop_problem(&p);
}

static void test_other_orders_of_threads(void **state) {
  (void)state;
  run_in_other_orders("test_every*");
}

int main(int count, char **words) {
  choose_test(count, words);
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup_teardown(test_every_shape_agrees_with_a_double_loop, find_device,
                                      give_back),
      cmocka_unit_test_setup_teardown(test_an_image_does_not_depend_on_the_others, find_device,
                                      give_back),
      cmocka_unit_test_setup_teardown(test_a_nan_stays_in_its_rows_and_columns, find_device,
                                      give_back),
      cmocka_unit_test_setup_teardown(test_what_cannot_be_done_is_refused, find_device, give_back),
      cmocka_unit_test_setup_teardown(test_other_orders_of_threads, find_device, give_back),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
