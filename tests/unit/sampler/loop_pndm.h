/* loop_pndm.h - PNDM as a plain loop, with and without its beginning by Runge and Kutta. */
#ifndef DARKROOM_TESTS_SAMPLER_LOOP_PNDM_H
#define DARKROOM_TESTS_SAMPLER_LOOP_PNDM_H

#include "tests/unit/sampler/loops_listed.h"

static inline double loop_alpha_bar_behind(const struct loop *loop, int t) {
  return t >= 0 ? loop_alpha_bar(loop, t) : loop->alpha_to_one ? 1.0 : loop_alpha_bar(loop, 0);
}

/* Equation 9: from t to `to` with what the U-Net said. */
static inline double loop_transfer(const struct loop *loop, double x, double out, int t, int to) {
  double a = loop_alpha_bar(loop, t), b = loop_alpha_bar_behind(loop, to);
  double e = loop_noise_at(loop, x, out, a);
  return sqrt(b / a) * x - (b - a) * e / (a * sqrt(1 - b) + sqrt(a * (1 - a) * b));
}

/* Outputs of the steps before, the latest first. */
struct loop_pndm {
  int known;
  double out[4][LOOP_VALUES];
};
static inline void loop_pndm_remember(struct loop_pndm *past, int k, double out) {
  for (int j = 3; j > 0; j--) {
    past->out[j][k] = past->out[j - 1][k];
  }
  past->out[0][k] = out;
}

/* Four looks from t to t - stride: Runge and Kutta's. */
static inline void loop_pndm_four(struct loop *loop, struct loop_pndm *past, int t, int stride) {
  int half = t - stride / 2, end = half - stride / 2;
  for (int k = 0; k < LOOP_VALUES; k++) {
    double x = loop->x[k], one = loop->model(x, t);
    double two = loop->model(loop_transfer(loop, x, one, t, half), half);
    double three = loop->model(loop_transfer(loop, x, two, t, half), half);
    double four = loop->model(loop_transfer(loop, x, three, t, end), end);
    loop->x[k] = loop_transfer(loop, x, (one + 2 * two + 2 * three + four) / 6, t, end);
    loop_pndm_remember(past, k, one);
  }
  past->known++;
}

/* One look, joined with those before. */
static inline void loop_pndm_one(struct loop *loop, struct loop_pndm *past, int t, int stride) {
  static const double weight[4][4] = {{1}, {1.5, -0.5}, {23, -16, 5}, {55, -59, 37, -9}};
  static const double whole[4] = {1, 1, 12, 24};
  int known = past->known < 3 ? past->known : 3;
  for (int k = 0; k < LOOP_VALUES; k++) {
    double x = loop->x[k], out = 0;
    loop_pndm_remember(past, k, loop->model(x, t));
    for (int j = 0; j <= known; j++) {
      out += weight[known][j] * past->out[j][k] / whole[known];
    }
    loop->x[k] = loop_transfer(loop, x, out, t, t - stride);
  }
  past->known++;
}

/* The first step without Runge and Kutta: there, a look, and again by the mean. */
static inline void loop_pndm_first(struct loop *loop, struct loop_pndm *past, int t, int stride) {
  for (int k = 0; k < LOOP_VALUES; k++) {
    double x = loop->x[k], one = loop->model(x, t);
    double there = loop_transfer(loop, x, one, t, t - stride);
    double mean = (one + loop->model(there, t - stride)) / 2;
    loop->x[k] = loop->steps > 1 ? loop_transfer(loop, x, mean, t, t - stride) : there;
    loop_pndm_remember(past, k, one);
  }
  past->known++;
}

static inline void loop_pndm(struct loop *loop) {
  static struct loop_pndm past;
  past.known = 0;
  int stride = loop->train / loop->steps;
  for (int i = 0; i < loop->steps; i++) {
    int t = (loop->steps - 1 - i) * stride;
    if (loop->runge_kutta && i < 3) {
      loop_pndm_four(loop, &past, t, stride);
    } else if (i == 0) {
      loop_pndm_first(loop, &past, t, stride);
    } else {
      loop_pndm_one(loop, &past, t, stride);
    }
  }
}

#endif
