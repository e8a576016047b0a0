/* test_cuda_launch_attention.c - every way that attention can go (kernels/cuda/attention*.cu)
 * against double loops: each padded depth, tall and low blocks, tokens and keys that fill no tile,
 * causal, prompts of different lengths. */
#include "tests/unit/kernels/cuda_launch_check.h"

enum { IMAGES_MAX = 5, LAYERS = 2 };

struct shape {
  int images, tokens, keys, heads, depth;
  int causal;
  int shift;               /* values between q and an address that is aligned */
  int extra;               /* values behind q, k and v of a token */
  int prompts[IMAGES_MAX]; /* cross attention, if the first is not 0: tokens of each prompt */
};

static const struct shape shapes[] = {
    /* each depth that 16-bit values are padded to, ragged in queries and keys */
    {2, 5, 5, 2, 5, .causal = 0}, /* value by value: 10 of 16 bytes a head */
    {2, 70, 70, 3, 8, .causal = 0},
    {1, 65, 65, 2, 16, .causal = 0},
    {2, 77, 77, 3, 32, .causal = 1},
    {2, 100, 100, 2, 40, .causal = 0},
    {1, 64, 130, 2, 64, .causal = 0}, /* whole tiles of queries; two keys in the third of keys */
    {2, 70, 70, 2, 80, .causal = 0},
    {1, 33, 49, 1, 96, .causal = 0},
    {1, 66, 64, 1, 128, .causal = 0},
    {1, 67, 67, 2, 160, .causal = 1},
    {1, 33, 31, 1, 161, .causal = 0}, /* wide, value by value */
    {2, 35, 70, 1, 256, .causal = 0},
    {1, 65, 65, 1, 512, .causal = 0},
    {1, 40, 40, 2, 320, .causal = 1},
    /* columns of a wider product; what is not aligned for eights */
    {2, 20, 20, 2, 40, .extra = 24},
    {2, 20, 20, 2, 40, .extra = 3},
    {2, 20, 20, 2, 40, .shift = 1},
    {1, 20, 20, 1, 200, .shift = 4},
    {1, 1, 1, 1, 64, .causal = 0},
    {1, 300, 300, 1, 24, .causal = 1}, /* several blocks, each with its own last key */
    /* tall blocks: enough heads for them in one image */
    {1, 40, 70, 128, 40, .causal = 0},
    {1, 36, 70, 128, 64, .causal = 1},
    {1, 20, 50, 128, 80, .causal = 0},
    /* prompts */
    {4, 50, 0, 2, 40, .prompts = {77, 154, 1, 80}},
    {2, 30, 0, 1, 160, .prompts = {77, 32}},
    {3, 20, 0, 2, 10, .prompts = {3, 5, 4}},
    {2, 33, 0, 1, 512, .prompts = {33, 77}},
};
enum { SHAPES = sizeof shapes / sizeof shapes[0] };

/* Attention, its operands, and what double loops make of them. */
struct problem {
  const struct shape *shape;
  struct values qkv, y; /* qkv [images, longer of tokens and keys, step] */
  struct values context[IMAGES_MAX];
  struct batch_row *rows; /* the device's */
  float *expected;
  struct launch_attention launch;
};

static int64_t width_of(const struct shape *s) { return (int64_t)s->heads * s->depth; }
static int64_t step_of(const struct shape *s) { return 3 * width_of(s) + s->extra; }
static int64_t length_of(const struct shape *s) {
  return s->tokens > s->keys ? s->tokens : s->keys;
}

/* A prompt's keys and values in each of the layers; the launch takes the last. */
static void take_prompts(struct problem *p, enum element element) {
  const struct shape *s = p->shape;
  struct batch_row rows[IMAGES_MAX] = {{0}};
  for (int b = 0; b < s->images; b++) {
    int64_t count = LAYERS * 2 * width_of(s) * s->prompts[b];
    p->context[b] = random_values(element, count, 0, 40 + (uint64_t)b);
    rows[b].context = p->context[b].device;
    rows[b].tokens = s->prompts[b];
  }
  p->rows = take_bytes(sizeof rows);
  CUDA(cudaMemcpy(p->rows, rows, sizeof rows, cudaMemcpyHostToDevice));
}

static struct launch_attention launch_of(const struct problem *p) {
  const struct shape *s = p->shape;
  const char *q = p->qkv.device;
  size_t width = (size_t)width_of(s) * element_bytes(p->qkv.element);
  int64_t step = step_of(s), image = step * length_of(s);
  return (struct launch_attention){.q = q,
                                   .k = q + width,
                                   .v = q + 2 * width,
                                   .y = p->y.device,
                                   .q_image = image,
                                   .k_image = image,
                                   .v_image = image,
                                   .q_token = step,
                                   .k_token = step,
                                   .v_token = step,
                                   .rows = p->rows,
                                   .column = (LAYERS - 1) * 2 * width_of(s),
                                   .element = (enum launch_element)p->qkv.element,
                                   .images = s->images,
                                   .tokens = s->tokens,
                                   .keys = s->keys,
                                   .heads = s->heads,
                                   .depth = s->depth,
                                   .causal = s->causal};
}

static struct problem take_problem(const struct shape *s, enum element element) {
  int64_t count = s->images * s->tokens * width_of(s);
  struct problem p = {
      .shape = s,
      .qkv = random_values(element, s->images * length_of(s) * step_of(s), s->shift, 11),
      .y = random_values(element, count, s->shift, 12),
      .expected = malloc((size_t)count * sizeof(float))};
  assert_non_null(p.expected);
  if (s->prompts[0] > 0) {
    take_prompts(&p, element);
  }
  p.launch = launch_of(&p);
  return p;
}

static void drop_problem(struct problem *p) {
  drop_values(&p->qkv);
  drop_values(&p->y);
  for (int b = 0; b < IMAGES_MAX; b++) {
    drop_values(&p->context[b]);
  }
  free(p->expected);
  give_back(NULL);
}

/* ---- double loops ---- */

/* Keys and values of one image and head. */
struct memory {
  const float *keys, *values;
  int64_t step;
  int count;
};

static struct memory memory_of(const struct problem *p, int image, int head) {
  const struct shape *s = p->shape;
  int64_t width = width_of(s), column = (int64_t)head * s->depth;
  if (p->rows != NULL) {
    int tokens = s->prompts[image];
    const float *layer = p->context[image].host + (LAYERS - 1) * 2 * width * tokens + column;
    return (struct memory){layer, layer + width, 2 * width, tokens};
  }
  const float *first = p->qkv.host + image * p->launch.k_image + column;
  return (struct memory){first + width, first + 2 * width, step_of(s), s->keys};
}

static void expect_query(struct problem *p, int image, int head, int token) {
  const struct shape *s = p->shape;
  struct memory m = memory_of(p, image, head);
  int seen = s->causal && token + 1 < m.count ? token + 1 : m.count;
  double scores[512], largest = -INFINITY, sum = 0;
  const float *q = p->qkv.host + image * p->launch.q_image + token * step_of(s) + head * s->depth;
  float *y = p->expected + ((int64_t)image * s->tokens + token) * width_of(s) + head * s->depth;
  for (int j = 0; j < seen; j++) {
    scores[j] = 0;
    for (int d = 0; d < s->depth; d++) {
      scores[j] += (double)q[d] * m.keys[j * m.step + d];
    }
    scores[j] /= sqrt(s->depth);
    largest = scores[j] > largest ? scores[j] : largest;
  }
  for (int j = 0; j < seen; j++) {
    scores[j] = exp(scores[j] - largest);
    sum += scores[j];
  }
  for (int d = 0; d < s->depth; d++) {
    double mix = 0;
    for (int j = 0; j < seen; j++) {
      mix += scores[j] * m.values[j * m.step + d];
    }
    y[d] = (float)(mix / sum);
  }
}

static void expect_all(struct problem *p) {
  const struct shape *s = p->shape;
  for (int image = 0; image < s->images; image++) {
    for (int head = 0; head < s->heads; head++) {
      for (int token = 0; token < s->tokens; token++) {
        expect_query(p, image, head, token);
      }
    }
  }
}

/* ---- the tests ---- */

static const char *name_of(const struct shape *s) {
  static char text[120];
  snprintf(text, sizeof text, "attention of %d x %d tokens, %d keys, %d heads of %d%s%s", s->images,
           s->tokens, s->keys, s->heads, s->depth, s->causal ? ", causal" : "",
           s->prompts[0] > 0 ? ", prompts" : "");
  return text;
}

/* In other orders the large ones in one type are enough. */
static bool is_left_out(const struct shape *s, enum element element) {
  return is_again() && (s->heads > 3 || s->tokens > 200) && element != ELEMENT_F16;
}

static void test_every_shape_agrees_with_double_loops(void **state) {
  (void)state;
  for (int i = 0; i < SHAPES; i++) {
    for (int e = 0; e < FLOAT_ELEMENTS; e++) {
      if (is_left_out(&shapes[i], float_elements[e])) {
        continue;
      }
      struct problem p = take_problem(&shapes[i], float_elements[e]);
      expect_all(&p);
      CUDA(launch_attention(&p.launch, NULL));
      check_error(name_of(&shapes[i]), p.expected, &p.y, bound_of(p.y.element));
      drop_problem(&p);
    }
  }
}

/* Image b of the same operands, alone. */
static struct launch_attention alone(const struct problem *p, int b) {
  const struct shape *s = p->shape;
  struct launch_attention launch = p->launch;
  size_t value = element_bytes(p->qkv.element), image = (size_t)(b * launch.q_image) * value;
  launch.images = 1;
  launch.q = (const char *)launch.q + image;
  launch.k = (const char *)launch.k + image;
  launch.v = (const char *)launch.v + image;
  launch.y = (char *)launch.y + (size_t)(b * s->tokens * width_of(s)) * value;
  launch.rows = p->rows != NULL ? p->rows + b : NULL;
  return launch;
}

static void test_an_image_does_not_depend_on_the_others(void **state) {
  (void)state;
  for (int i = 0; i < SHAPES; i++) {
    for (int e = 0; e < FLOAT_ELEMENTS && shapes[i].images > 1; e++) {
      struct problem together = take_problem(&shapes[i], float_elements[e]);
      struct problem apart = take_problem(&shapes[i], float_elements[e]);
      CUDA(launch_attention(&together.launch, NULL));
      for (int b = 0; b < shapes[i].images; b++) {
        struct launch_attention launch = alone(&apart, b);
        CUDA(launch_attention(&launch, NULL));
      }
      check_bits(name_of(&shapes[i]), together.y.device, apart.y.device,
                 (size_t)together.y.count * element_bytes(together.y.element));
      drop_problem(&together);
      drop_problem(&apart);
    }
  }
}

/* Scores of hundreds, and growing from tile to tile, so that every sum is rescaled. */
static void test_scores_far_from_zero_are_weighed(void **state) {
  (void)state;
  static const struct shape some[] = {{1, 40, 200, 1, 40, 0, 0, 0, {0}},
                                      {1, 20, 150, 1, 320, 0, 0, 0, {0}}};
  for (int i = 0; i < 2; i++) {
    for (int e = 0; e < FLOAT_ELEMENTS; e++) {
      struct problem p = take_problem(&some[i], float_elements[e]);
      for (int64_t v = 0; v < p.qkv.count; v++) {
        int64_t token = v / step_of(&some[i]), column = v % step_of(&some[i]);
        if (column < 2 * width_of(&some[i])) { /* the scores are half a key's number */
          p.qkv.host[v] = column < width_of(&some[i])
                              ? 50 / (float)some[i].depth
                              : (float)(token % 150) / 100 * sqrtf((float)some[i].depth);
        }
      }
      send_values(&p.qkv);
      expect_all(&p);
      CUDA(launch_attention(&p.launch, NULL));
      /* A score of 100 has 2^-18 of error in f32, and so has its weight. */
      check_error(name_of(&some[i]), p.expected, &p.y, fmax(bound_of(p.y.element), 1e-8));
      drop_problem(&p);
    }
  }
}

/* A NaN of one image or of a key that is not seen stays where it is; one of a query, or of a key or
 * a value that is seen, is seen in the result. */
static void test_a_nan_is_seen_where_it_belongs(void **state) {
  (void)state;
  static const struct shape some[] = {{2, 20, 20, 1, 40, 1, 0, 0, {0}},
                                      {2, 20, 20, 1, 200, 1, 0, 0, {0}}};
  for (int i = 0; i < 2; i++) {
    for (int e = 0; e < FLOAT_ELEMENTS; e++) {
      const struct shape *s = &some[i];
      struct problem p = take_problem(s, float_elements[e]);
      float *second = p.qkv.host + p.launch.q_image;
      second[3 * step_of(s)] = NAN;                /* query 3 */
      second[11 * step_of(s) + width_of(s)] = NAN; /* key 11: seen from query 11 on */
      p.qkv.host[2 * width_of(s)] = NAN;           /* a value of the first image */
      send_values(&p.qkv);
      expect_all(&p);
      CUDA(launch_attention(&p.launch, NULL));
      check_error(name_of(s), p.expected, &p.y, bound_of(p.y.element));
      drop_problem(&p);
    }
  }
}

/* A place of the batch where no row is: no prompt, and nothing but zeros comes of it. */
static void test_an_idle_row_is_zeros(void **state) {
  (void)state;
  static const struct shape some[] = {{2, 20, 0, 2, 40, 0, 0, 0, {7, 9}},
                                      {2, 20, 0, 1, 200, 0, 0, 0, {7, 9}}};
  for (int i = 0; i < 2; i++) {
    for (int e = 0; e < FLOAT_ELEMENTS; e++) {
      const struct shape *s = &some[i];
      struct problem p = take_problem(s, float_elements[e]);
      const struct batch_row idle = {0};
      expect_all(&p);
      CUDA(cudaMemcpy(p.rows + 1, &idle, sizeof idle, cudaMemcpyHostToDevice));
      for (int64_t v = s->tokens * width_of(s); v < p.y.count; v++) {
        p.expected[v] = 0;
      }
      CUDA(launch_attention(&p.launch, NULL));
      check_error(name_of(s), p.expected, &p.y, bound_of(p.y.element));
      drop_problem(&p);
    }
  }
}

static void test_what_is_not_served_is_refused(void **state) {
  (void)state;
  struct problem p = take_problem(&shapes[0], ELEMENT_F16);
  struct launch_attention deep = p.launch, many = p.launch, none = p.launch;
  deep.depth = 513;
  many.images = 65536;
  none.images = 0;
  assert_int_equal(launch_attention(&deep, NULL), cudaErrorInvalidValue);
  assert_int_equal(launch_attention(&many, NULL), cudaErrorInvalidValue);
  CUDA(launch_attention(&none, NULL));
  drop_problem(&p);
}

static void test_other_orders_of_threads(void **state) {
  (void)state;
  run_in_other_orders("test_every*");
}

int main(int count, char **words) {
  choose_test(count, words);
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup_teardown(test_every_shape_agrees_with_double_loops, find_device,
                                      give_back),
      cmocka_unit_test_setup_teardown(test_an_image_does_not_depend_on_the_others, find_device,
                                      give_back),
      cmocka_unit_test_setup_teardown(test_scores_far_from_zero_are_weighed, find_device,
                                      give_back),
      cmocka_unit_test_setup_teardown(test_a_nan_is_seen_where_it_belongs, find_device, give_back),
      cmocka_unit_test_setup_teardown(test_an_idle_row_is_zeros, find_device, give_back),
      cmocka_unit_test_setup_teardown(test_what_is_not_served_is_refused, find_device, give_back),
      cmocka_unit_test_setup_teardown(test_other_orders_of_threads, find_device, give_back),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
