/* test_cuda_launch_norm.c - every way that a norm can go (kernels/cuda/norm*.cu) against ref:
 * one block for a group, with the group in shared memory or not; in parts; rows by warps. */
#include "tests/unit/kernels/cuda_launch_check.h"

struct shape {
  int64_t images, pixels;
  int channels, groups;
  int silu, shift; /* shift: values between the tensors and an address that is aligned */
  int only;        /* of float_elements; 0: all of them, i: number i - 1 */
};

/* The element of a shape decides the way: a block keeps 48 KB. */
static const struct shape group_shapes[] = {
    {1, 1, 8, 8, 0, 0, 0},      /* a value a group */
    {3, 35, 12, 2, 0, 0, 0},    /* tiny and odd, runs of 2 */
    {2, 100, 12, 4, 1, 0, 0},   /* runs of 1 */
    {2, 60, 40, 4, 1, 0, 0},    /* runs of 2 */
    {2, 30, 60, 3, 0, 0, 0},    /* runs of 4 */
    {2, 16, 256, 4, 1, 0, 0},   /* runs of 8 */
    {1, 50, 60, 3, 1, 3, 0},    /* misaligned */
    {2, 99, 512, 2, 1, 0, 0},   /* in parts, runs of 8 */
    {1, 1531, 36, 2, 0, 0, 2},  /* runs of 4, a prime of pixels */
    {1, 2600, 30, 3, 1, 0, 3},  /* runs of 2 */
    {1, 2503, 33, 3, 0, 0, 2},  /* runs of 1 */
    {1, 514, 511, 1, 0, 0, 1},  /* a line of threads a block, as many chunks as there may be */
    {1, 99, 512, 2, 1, 1, 3},   /* in parts, misaligned */
    {1, 2, 1050, 525, 0, 0, 0}, /* more groups than threads */
    {1, 13, 4096, 2, 0, 0, 1},  /* in parts, as many columns as threads */
    {2, 26, 1026, 1, 1, 0, 0},  /* more columns than threads: nothing is kept */
};
enum { GROUP_SHAPES = sizeof group_shapes / sizeof group_shapes[0] };

/* A norm, and what ref makes of it. */
struct problem {
  struct values x, y, gamma, beta;
  float *expected;
  struct launch_norm launch;
  struct shape shape;
  bool layer;
};

static struct problem take_problem(const struct shape *shape, enum element element, bool layer) {
  int64_t count = shape->images * shape->pixels * shape->channels;
  struct problem p = {random_values(element, count, shape->shift, 7),
                      take_values(element, count, shape->shift),
                      random_values(ELEMENT_F32, shape->channels, 0, 8),
                      random_values(ELEMENT_F32, shape->channels, 0, 9),
                      malloc((size_t)count * sizeof(float)),
                      .shape = *shape,
                      .layer = layer};
  assert_non_null(p.expected);
  p.launch = (struct launch_norm){.x = p.x.device,
                                  .y = p.y.device,
                                  .gamma = p.gamma.device,
                                  .beta = p.beta.device,
                                  .element = (enum launch_element)element,
                                  .images = shape->images,
                                  .pixels = shape->pixels,
                                  .channels = shape->channels,
                                  .groups = shape->groups,
                                  .epsilon = 1e-5f,
                                  .silu = shape->silu};
  return p;
}

static void drop_problem(struct problem *p) {
  free(p->expected);
  drop_values(&p->x);
  drop_values(&p->y);
  drop_values(&p->gamma);
  drop_values(&p->beta);
  give_back(NULL);
}

static void ask_ref(const struct problem *p) {
  const struct shape *shape = &p->shape;
  const struct tensor from = {
      p->x.host, ELEMENT_F32, 4, {shape->images, shape->pixels, 1, shape->channels}};
  struct tensor to = from;
  to.data = p->expected;
  const struct norm norm = {.gamma = {p->gamma.host, ELEMENT_F32, 1, {shape->channels, 1, 1, 1}},
                            .beta = {p->beta.host, ELEMENT_F32, 1, {shape->channels, 1, 1, 1}},
                            .epsilon = 1e-5f,
                            .groups = shape->groups};
  enum status status = p->layer ? ref_layer_norm(NULL, &from, &norm, &to)
                                : ref_group_norm(NULL, &from, &norm, shape->silu, &to);
  assert_int_equal(status, OK);
}

static void launch_norm(struct launch_norm *launch, bool layer) {
  if (layer) {
    CUDA(launch_layer_norm(launch, NULL));
    return;
  }
  launch->scratch = take_bytes(launch_norm_scratch(launch) + GUARD_BYTES);
  CUDA(launch_group_norm(launch, NULL));
}

/* The last image by itself, in the place where it lies. */
static void check_alone(struct launch_norm launch, const struct shape *shape, bool layer) {
  size_t image =
      (size_t)(shape->pixels * shape->channels) * element_bytes((enum element)launch.element);
  char *together = (char *)launch.y + (size_t)(shape->images - 1) * image;
  launch.x = (const char *)launch.x + (size_t)(shape->images - 1) * image;
  char *alone = take_bytes(image + GUARD_BYTES);
  launch.y = alone + (uintptr_t)together % 16; /* no more aligned than in the batch */
  launch.images = 1;
  launch_norm(&launch, layer);
  check_bits("an image alone", together, launch.y, image);
}

static void check_shape(const struct shape *shape, enum element element, bool layer) {
  struct problem p = take_problem(shape, element, layer);
  ask_ref(&p);
  launch_norm(&p.launch, layer);
  char what[80];
  snprintf(what, sizeof what, "%s norm of %lld x %lld x %d", layer ? "layer" : "group",
           (long long)shape->images, (long long)shape->pixels, shape->channels);
  check_error(what, p.expected, &p.y, bound_of(element));
  check_alone(p.launch, shape, layer);
  p.launch.y = p.x.device; /* in place: the same bits */
  launch_norm(&p.launch, layer);
  check_bits("in place", p.x.device, p.y.device, (size_t)p.x.count * element_bytes(element));
  drop_problem(&p);
}

static void test_group_norm_goes_every_way(void **state) {
  (void)state;
  for (int s = 0; s < GROUP_SHAPES; s++) {
    for (int e = 0; e < FLOAT_ELEMENTS; e++) {
      if (group_shapes[s].only == 0 || group_shapes[s].only == e + 1) {
        check_shape(&group_shapes[s], float_elements[e], false);
      }
    }
  }
}

/* Lanes of a row: 8, 16 and 32, few runs and many; rows too wide for a warp, kept and not. */
static const int widths[] = {1,   10,   31,   96,   320,  321,  640,
                             768, 1280, 2048, 2560, 2568, 3001, 13000};

static void test_layer_norm_goes_every_way(void **state) {
  (void)state;
  for (size_t w = 0; w < sizeof widths / sizeof widths[0]; w++) {
    for (int e = 0; e < FLOAT_ELEMENTS; e++) {
      const struct shape shape = {2, widths[w] < 3000 ? 7 : 1, widths[w], 1, 0, 0, 0};
      check_shape(&shape, float_elements[e], true);
    }
  }
  const struct shape many = {1, 3000, 24, 1, 0, 0, 0}, misaligned = {2, 5, 320, 1, 0, 1, 0};
  check_shape(&many, ELEMENT_F16, true);
  check_shape(&misaligned, ELEMENT_BF16, true);
}

static void check_flat(const struct shape *shape, enum element element, bool layer) {
  struct problem p = take_problem(shape, element, layer);
  for (int64_t i = 0; i < p.x.count; i++) {
    p.x.host[i] = 1000.1f; /* all digits of f32 */
    p.expected[i] = p.beta.host[i % shape->channels];
  }
  send_values(&p.x);
  p.launch.silu = 0;
  launch_norm(&p.launch, layer);
  check_exact("a flat group", p.expected, &p.y);
  drop_problem(&p);
}

static void test_a_flat_group_gives_its_shift(void **state) {
  (void)state;
  static const int ways[] = {3, 7, 15};
  for (int e = 0; e < FLOAT_ELEMENTS; e++) {
    for (size_t w = 0; w < sizeof ways / sizeof ways[0]; w++) {
      check_flat(&group_shapes[ways[w]], float_elements[e], false);
    }
    check_flat(&(struct shape){1, 9, 320, 1, 0, 0, 0}, float_elements[e], true);
    check_flat(&(struct shape){1, 2, 3001, 1, 0, 0, 0}, float_elements[e], true);
  }
}

/* Far from zero, with a first value that is farther still: where sums of squares, and sums
 * about a value that is no member, lose their digits. */
static void check_far(const struct shape *shape, float first, bool layer) {
  struct problem p = take_problem(shape, ELEMENT_F32, layer);
  for (int64_t i = 0; i < p.x.count; i++) {
    p.x.host[i] += i % (shape->channels * shape->pixels) == 0 ? first : 300.0f;
  }
  send_values(&p.x);
  ask_ref(&p);
  launch_norm(&p.launch, layer);
  check_error("a group far from zero", p.expected, &p.y, bound_of(ELEMENT_F32));
  drop_problem(&p);
}

static void test_a_group_far_from_zero_keeps_its_digits(void **state) {
  (void)state;
  check_far(&group_shapes[3], 340, false);
  check_far(&group_shapes[7], 340, false);
  check_far(&group_shapes[15], 340, false);
  check_far(&(struct shape){1, 9, 320, 1, 0, 0, 0}, 340, true);
  /* the first mean is off by more than the bound; the second is not */
  check_far(&(struct shape){1, 200, 1026, 1, 0, 0, 0}, 1e6f, false);
  check_far(&group_shapes[7], 1e6f, false);
  check_far(&(struct shape){1, 3, 2560, 1, 0, 0, 0}, 1e6f, true);
}

/* One value that is not finite: its group is NaN, and no other group of any image. */
static void check_planted(const struct shape *shape, float planted, bool layer) {
  struct problem p = take_problem(shape, ELEMENT_F16, layer);
  p.x.host[p.x.count / 2 + 1] = planted;
  send_values(&p.x);
  ask_ref(&p);
  launch_norm(&p.launch, layer);
  check_error("what is not finite", p.expected, &p.y, bound_of(ELEMENT_F16));
  drop_problem(&p);
}

static void test_what_is_not_finite_stays_in_its_group(void **state) {
  (void)state;
  static const int ways[] = {3, 7, 15};
  for (size_t w = 0; w < sizeof ways / sizeof ways[0]; w++) {
    check_planted(&group_shapes[ways[w]], NAN, false);
    check_planted(&group_shapes[ways[w]], -INFINITY, false);
  }
  check_planted(&(struct shape){2, 9, 320, 1, 0, 0, 0}, INFINITY, true);
  check_planted(&(struct shape){2, 2, 3001, 1, 0, 0, 0}, NAN, true);
}

static void test_nothing_to_do_is_done(void **state) {
  (void)state;
  struct launch_norm launch = {.images = 0, .pixels = 7, .channels = 8, .groups = 2};
  CUDA(launch_group_norm(&launch, NULL));
  CUDA(launch_layer_norm(&launch, NULL));
  launch.images = 2;
  launch.pixels = 0;
  CUDA(launch_group_norm(&launch, NULL));
}

static void test_orders_of_threads_change_nothing(void **state) {
  (void)state;
  run_in_other_orders("test_a_group_far*");
}

int main(int count, char **words) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup_teardown(test_group_norm_goes_every_way, find_device, give_back),
      cmocka_unit_test_setup_teardown(test_layer_norm_goes_every_way, find_device, give_back),
      cmocka_unit_test_setup_teardown(test_a_flat_group_gives_its_shift, find_device, give_back),
      cmocka_unit_test_setup_teardown(test_a_group_far_from_zero_keeps_its_digits, find_device,
                                      give_back),
      cmocka_unit_test_setup_teardown(test_what_is_not_finite_stays_in_its_group, find_device,
                                      give_back),
      cmocka_unit_test_setup_teardown(test_nothing_to_do_is_done, find_device, give_back),
      cmocka_unit_test_setup_teardown(test_orders_of_threads_change_nothing, find_device,
                                      give_back),
  };
  choose_test(count, words);
  return cmocka_run_group_tests(tests, NULL, NULL);
}
