/* test_cuda_launch_moving.c - what only moves (kernels/cuda/moving.cu, embed.cu, pack.cu),
 * against plain loops: pieces of 1 to 16 bytes, every type, any address. */
#include "tests/unit/kernels/cuda_launch_check.h"

/* Bytes of the device, `shift` behind an aligned address, and what they are on the host. */
struct bytes {
  size_t count;
  uint8_t *host;
  uint8_t *device;
};

static struct bytes take_room(size_t count, int shift, uint64_t seed) {
  struct bytes bytes = {count, malloc(count),
                        (uint8_t *)take_bytes(count + (size_t)shift + GUARD_BYTES) + shift};
  assert_non_null(bytes.host);
  for (size_t i = 0; i < count; i++) {
    bytes.host[i] = (uint8_t)draw(&seed);
  }
  CUDA(cudaMemcpy(bytes.device, bytes.host, count, cudaMemcpyHostToDevice));
  return bytes;
}

static void check_room(const char *what, const struct bytes *y) {
  uint8_t *got = malloc(y->count);
  assert_non_null(got);
  CUDA(cudaMemcpy(got, y->device, y->count, cudaMemcpyDeviceToHost));
  for (size_t i = 0; i < y->count; i++) {
    if (got[i] != y->host[i]) {
      WRONG("%s: byte %zu of %zu differs", what, i, y->count);
    }
  }
  free(got);
}

/* ---- bytes ---- */

static void check_concat(size_t rows, size_t left, size_t right, int shift) {
  struct bytes a = take_room(rows * left, shift, 1), b = take_room(rows * right, shift, 2),
               y = take_room(rows * (left + right), shift, 3);
  for (size_t r = 0; r < rows; r++) {
    memcpy(y.host + r * (left + right), a.host + r * left, left);
    memcpy(y.host + r * (left + right) + left, b.host + r * right, right);
  }
  const struct launch_concat concat = {a.device,      b.device,      y.device,
                                       (int64_t)rows, (int64_t)left, (int64_t)right};
  CUDA(launch_concat(&concat, NULL));
  check_room("concat", &y);
  free(a.host);
  free(b.host);
  free(y.host);
  give_back(NULL);
}

static void test_concat(void **state) {
  (void)state;
  check_concat(1, 1, 1, 0);
  check_concat(35, 6, 10, 0);
  check_concat(70, 256, 192, 0);
  check_concat(9, 24, 40, 0);
  check_concat(9, 28, 36, 0);
  check_concat(5, 5120, 3840, 0); /* two tiles */
  check_concat(9, 256, 192, 4);
  check_concat(3, 33, 16, 0);
  const struct launch_concat none = {NULL, NULL, NULL, 0, 16, 16};
  CUDA(launch_concat(&none, NULL));
}

/* Of the nearest neighbours. */
static void expect_picture(const struct launch_upsample *up, const uint8_t *x, uint8_t *y) {
  for (int64_t b = 0; b < up->images; b++) {
    for (int64_t i = 0; i < up->out_height; i++) {
      for (int64_t j = 0; j < up->out_width; j++) {
        int64_t row = i * up->height / up->out_height, column = j * up->width / up->out_width;
        memcpy(y + ((b * up->out_height + i) * up->out_width + j) * up->pixel,
               x + ((b * up->height + row) * up->width + column) * up->pixel, (size_t)up->pixel);
      }
    }
  }
}

static void check_upsample(struct launch_upsample up, int shift) {
  struct bytes x = take_room((size_t)(up.images * up.height * up.width * up.pixel), shift, 1),
               y = take_room((size_t)(up.images * up.out_height * up.out_width * up.pixel), shift,
                             2);
  up.x = x.device;
  up.y = y.device;
  expect_picture(&up, x.host, y.host);
  CUDA(launch_upsample(&up, NULL));
  check_room("upsample", &y);
  free(x.host);
  free(y.host);
  give_back(NULL);
}

static void test_upsample(void **state) {
  (void)state;
  check_upsample((struct launch_upsample){NULL, NULL, 2, 8, 8, 16, 16, 256}, 0);
  check_upsample((struct launch_upsample){NULL, NULL, 2, 4, 5, 7, 9, 12}, 0);
  check_upsample((struct launch_upsample){NULL, NULL, 1, 3, 1, 10, 2, 2}, 0);
  check_upsample((struct launch_upsample){NULL, NULL, 1, 5, 3, 10, 6, 1}, 0);
  check_upsample((struct launch_upsample){NULL, NULL, 1, 4, 24, 8, 48, 1280}, 0);
  check_upsample((struct launch_upsample){NULL, NULL, 1, 4, 4, 8, 8, 16}, 8);
  const struct launch_upsample vast = {NULL, NULL, 1, 1 << 16, 1, 1 << 17, 2, 2};
  assert_int_equal(launch_upsample(&vast, NULL), cudaErrorInvalidValue);
}

/* ---- embeddings ---- */

static void check_embed(int64_t rows, int64_t tokens, int64_t width, enum element element,
                        int shift) {
  enum { WORDS = 50, EXTRA = 7 };
  struct values table = random_values(element, WORDS * width, shift, 1),
                extra = random_values(element, EXTRA * width, shift, 4),
                positions = random_values(element, tokens * width, shift, 2),
                y = take_values(element, rows * tokens * width, shift);
  int32_t *ids = malloc((size_t)(rows * tokens) * sizeof *ids);
  float *expected = malloc((size_t)y.count * sizeof *expected);
  assert_non_null(ids);
  assert_non_null(expected);
  uint64_t dice = 3;
  for (int64_t m = 0; m < rows * tokens; m++) {
    ids[m] = (int32_t)(draw(&dice) % (WORDS + EXTRA));
    const float *word =
        ids[m] < WORDS ? table.host + ids[m] * width : extra.host + (ids[m] - WORDS) * width;
    for (int64_t c = 0; c < width; c++) {
      expected[m * width + c] = word[c] + positions.host[m % tokens * width + c];
    }
  }
  int32_t *there = take_bytes((size_t)(rows * tokens) * sizeof *ids);
  CUDA(cudaMemcpy(there, ids, (size_t)(rows * tokens) * sizeof *ids, cudaMemcpyHostToDevice));
  const struct launch_embed embed = {.table = table.device,
                                     .extra = extra.device,
                                     .positions = positions.device,
                                     .ids = there,
                                     .y = y.device,
                                     .element = (enum launch_element)element,
                                     .rows = rows,
                                     .tokens = tokens,
                                     .width = width,
                                     .words = WORDS};
  CUDA(launch_embed(&embed, NULL));
  check_exact("embed", expected, &y);
  free(ids);
  free(expected);
  drop_values(&table);
  drop_values(&extra);
  drop_values(&positions);
  drop_values(&y);
  give_back(NULL);
}

static void test_embed(void **state) {
  (void)state;
  for (int e = 0; e < FLOAT_ELEMENTS; e++) {
    check_embed(2, 77, 32, float_elements[e], 0);
    check_embed(3, 5, 10, float_elements[e], 0);
    check_embed(1, 3, 4200, float_elements[e], 0);
    check_embed(2, 7, 16, float_elements[e], 1);
  }
}

static void check_timesteps(int count, int width, enum element element) {
  struct batch_row rows[BATCH_ROWS_MAX] = {{0}};
  struct values y = take_values(element, (int64_t)count * width, 0);
  float *expected = malloc((size_t)y.count * sizeof *expected);
  assert_non_null(expected);
  for (int b = 0; b < count; b++) {
    rows[b].timestep = b == 0 ? 0 : b == 1 ? 999 : (float)(b * 331 % 1000) + 0.25f;
    for (int i = 0; i < width / 2; i++) {
      float frequency = expf(-logf(10000.0f) * (float)i / (float)(width / 2));
      expected[b * width + i] = (float)cos((double)(rows[b].timestep * frequency));
      expected[b * width + width / 2 + i] = (float)sin((double)(rows[b].timestep * frequency));
    }
  }
  struct batch_row *there = take_bytes(sizeof rows);
  CUDA(cudaMemcpy(there, rows, sizeof rows, cudaMemcpyHostToDevice));
  const struct launch_timesteps timesteps = {there, y.device, (enum launch_element)element, count,
                                             width};
  CUDA(launch_timesteps(&timesteps, NULL));
  /* in f32 as good as a correctly rounded cosine of the same f32 angle */
  check_error("timesteps", expected, &y, element == ELEMENT_F32 ? 1e-15 : bound_of(element));
  free(expected);
  drop_values(&y);
  give_back(NULL);
}

static void test_timesteps(void **state) {
  (void)state;
  for (int e = 0; e < FLOAT_ELEMENTS; e++) {
    check_timesteps(BATCH_ROWS_MAX, 320, float_elements[e]);
    check_timesteps(3, 2, float_elements[e]);
    check_timesteps(3, 258, float_elements[e]);
  }
}

/* ---- weights ---- */

static void expect_pack(const struct launch_pack *pack, const float *x, float *y) {
  for (int64_t o = 0; o < pack->outputs; o++) {
    for (int64_t i = 0; i < pack->inputs; i++) {
      for (int k = 0; k < pack->kernel; k++) {
        y[(o * pack->kernel + k) * pack->inputs + i] = x[(o * pack->inputs + i) * pack->kernel + k];
      }
    }
  }
}

/* Which of a parity's two taps one of three falls on: pixel 2 i + parity + tap - 1 of the doubled
 * picture is pixel i + (parity + tap - 1) / 2, rounded down, of x, and the first tap is that of
 * pixel i + parity - 1. */
static int doubled_tap(int parity, int tap) { return (parity + tap + 1) / 2 - parity; }

static void expect_doubled(const struct launch_pack *pack, const float *x, float *y) {
  int64_t inputs = pack->inputs, outputs = pack->outputs;
  memset(y, 0, (size_t)(16 * outputs * inputs) * sizeof *y);
  for (int64_t o = 0; o < outputs; o++) {
    for (int64_t i = 0; i < inputs; i++) {
      for (int p = 0; p < 4; p++) {
        for (int k = 0; k < 9; k++) {
          int tap = doubled_tap(p / 2, k / 3) * 2 + doubled_tap(p % 2, k % 3);
          y[((p * outputs + o) * 4 + tap) * inputs + i] += x[(o * inputs + i) * 9 + k];
        }
      }
    }
  }
}

static void check_pack(int64_t outputs, int64_t inputs, int kernel, int pair) {
  enum element from = float_elements[pair / FLOAT_ELEMENTS],
               to = float_elements[pair % FLOAT_ELEMENTS];
  for (int doubled = 0; doubled <= (kernel == 9); doubled++) {
    struct values x = random_values(from, outputs * inputs * kernel, 0, 1),
                  y = take_values(to, outputs * inputs * (doubled ? 16 : kernel), 0);
    float *expected = malloc((size_t)y.count * sizeof *expected);
    assert_non_null(expected);
    const struct launch_pack pack = {
        x.device, y.device, (enum launch_element)from, (enum launch_element)to, outputs, inputs,
        kernel,   doubled};
    if (doubled) {
      expect_doubled(&pack, x.host, expected);
    } else {
      expect_pack(&pack, x.host, expected);
    }
    CUDA(launch_pack(&pack, NULL));
    check_exact(doubled ? "pack doubled" : "pack", expected, &y);
    free(expected);
    drop_values(&x);
    drop_values(&y);
    give_back(NULL);
  }
}

static void test_pack(void **state) {
  (void)state;
  for (int pair = 0; pair < FLOAT_ELEMENTS * FLOAT_ELEMENTS; pair++) {
    check_pack(10, 6, 9, pair);
    check_pack(3, 300, 1, pair);
    check_pack(5, 130, 9, pair);
    check_pack(1, 1, 4, pair);
  }
}

int main(int count, char **words) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup_teardown(test_concat, find_device, give_back),
      cmocka_unit_test_setup_teardown(test_upsample, find_device, give_back),
      cmocka_unit_test_setup_teardown(test_embed, find_device, give_back),
      cmocka_unit_test_setup_teardown(test_timesteps, find_device, give_back),
      cmocka_unit_test_setup_teardown(test_pack, find_device, give_back),
  };
  choose_test(count, words);
  return cmocka_run_group_tests(tests, NULL, NULL);
}
