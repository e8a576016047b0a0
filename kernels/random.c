/* random.c - mt19937 (Matsumoto & Nishimura 1998) and the two normal transforms of torch's CPU
 * generator. */
#include "kernels/random.h"

#include <math.h>

enum { STATE = 624, SHIFT = 397, BLOCK = 16, HALF = BLOCK / 2 };
#define TWO_PI 6.28318530717958647692

void random_seed(struct random *random, uint64_t seed) {
  random->state[0] = (uint32_t)seed;
  for (uint32_t i = 1; i < STATE; i++) {
    uint32_t last = random->state[i - 1];
    random->state[i] = 1812433253u * (last ^ last >> 30) + i;
  }
  random->next = STATE;
  random->has_cached = false;
  random->cached = 0;
}

static uint32_t twist(uint32_t upper, uint32_t lower) {
  uint32_t joined = (upper & 0x80000000u) | (lower & 0x7fffffffu);
  return joined >> 1 ^ (joined & 1 ? 0x9908b0dfu : 0);
}

static void refill(struct random *random) {
  uint32_t *s = random->state;
  for (int i = 0; i < STATE; i++) {
    s[i] = s[(i + SHIFT) % STATE] ^ twist(s[i], s[(i + 1) % STATE]);
  }
  random->next = 0;
}

uint32_t random_bits(struct random *random) {
  if (random->next == STATE) {
    refill(random);
  }
  uint32_t y = random->state[random->next++];
  y ^= y >> 11;
  y ^= y << 7 & 0x9d2c5680u;
  y ^= y << 15 & 0xefc60000u;
  return y ^ y >> 18;
}

static float uniform_f32(struct random *random) {
  return (float)(random_bits(random) & 0xffffff) * 0x1p-24f;
}

static double uniform_f64(struct random *random) {
  uint64_t high = random_bits(random);
  uint64_t low = random_bits(random);
  return (double)((high << 32 | low) & ((1ull << 53) - 1)) * 0x1p-53;
}

/* 16 uniforms become 16 normals in place: the first eight give radii, the last eight angles. */
static void box_muller(float *block) {
  for (int j = 0; j < HALF; j++) {
    float radius = sqrtf(-2.0f * logf(1.0f - block[j]));
    float angle = (float)TWO_PI * block[j + HALF];
    block[j] = radius * cosf(angle);
    block[j + HALF] = radius * sinf(angle);
  }
}

static void normal_blocks(struct random *random, float *out, int64_t count) {
  for (int64_t i = 0; i < count; i++) {
    out[i] = uniform_f32(random);
  }
  for (int64_t i = 0; i + BLOCK <= count; i += BLOCK) {
    box_muller(out + i);
  }
  if (count % BLOCK !=
      0) { /* a ragged tail: the last 16 are drawn anew, over values already made */
    float *tail = out + count - BLOCK;
    for (int j = 0; j < BLOCK; j++) {
      tail[j] = uniform_f32(random);
    }
    box_muller(tail);
  }
}

static float normal_single(struct random *random) {
  if (random->has_cached) {
    random->has_cached = false;
    return (float)random->cached;
  }
  double u1 = uniform_f64(random);
  double u2 = uniform_f64(random);
  double radius = sqrt(-2.0 * log1p(-u2));
  random->cached = radius * sin(TWO_PI * u1);
  random->has_cached = true;
  return (float)(radius * cos(TWO_PI * u1));
}

void random_normal(struct random *random, float *out, int64_t count) {
  if (count >= BLOCK) {
    normal_blocks(random, out, count);
    return;
  }
  for (int64_t i = 0; i < count; i++) {
    out[i] = normal_single(random);
  }
}

void random_normal_image(struct random *random, int channels, int height, int width, float *scratch,
                         float *out) {
  int64_t pixels = (int64_t)height * width;
  random_normal(random, scratch, pixels * channels);
  for (int64_t p = 0; p < pixels; p++) {
    for (int c = 0; c < channels; c++) {
      out[p * channels + c] = scratch[c * pixels + p];
    }
  }
}
