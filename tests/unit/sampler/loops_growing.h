/* loops_growing.h - Heun, LMS and DPM++ SDE as plain loops: the judges of plans, beside loops.h. */
#ifndef DARKROOM_TESTS_SAMPLER_LOOPS_GROWING_H
#define DARKROOM_TESTS_SAMPLER_LOOPS_GROWING_H

#include "tests/unit/sampler/loops.h"

struct loop_track {
  double t[LOOP_STEPS_MAX + 1], sigma[LOOP_STEPS_MAX + 1];
};

static inline void loop_begin_growing(struct loop *loop, struct loop_track *track) {
  loop_points(loop, loop->steps, false, track->t, track->sigma);
  if (loop->karras) {
    loop_karras(loop, track->sigma[0], track->sigma[loop->steps - 1], track->t, track->sigma);
  }
  for (int k = 0; k < LOOP_VALUES; k++) {
    loop->x[k] *= track->sigma[0];
  }
}

/* (x - x0)/sigma at a sigma; *x becomes what is stepped from. */
static inline double loop_slope(const struct loop *loop, double *x, double t, double sigma) {
  double seen = *x / sqrt(sigma * sigma + 1);
  *x = loop->feed_scaled ? seen : *x;
  return (*x - loop_clean(loop, *x, loop->model(seen, t), sigma)) / sigma;
}

static inline void loop_heun(struct loop *loop) {
  struct loop_track track;
  loop_begin_growing(loop, &track);
  for (int i = 0; i < loop->steps; i++) {
    double s = track.sigma[i], to = track.sigma[i + 1];
    for (int k = 0; k < LOOP_VALUES; k++) {
      double x = loop->x[k];
      double d = loop_slope(loop, &x, track.t[i], s);
      double guess = x + d * (to - s);
      if (to > 0) {
        d = (d + loop_slope(loop, &guess, track.t[i + 1], to)) / 2;
      }
      loop->x[k] = to > 0 ? x + d * (to - s) : guess;
    }
  }
}

/* Lagrange's polynomial, and Simpson's rule, which is exact for it. */
static inline double loop_lagrange(const double *sigma, int order, int k, double at) {
  double product = 1;
  for (int j = 0; j < order; j++) {
    product *= j == k ? 1 : (at - sigma[-j]) / (sigma[-k] - sigma[-j]);
  }
  return product;
}
static inline double loop_integral(const double *sigma, int order, int k) {
  double a = sigma[0], b = sigma[1];
  return (b - a) / 6 *
         (loop_lagrange(sigma, order, k, a) + 4 * loop_lagrange(sigma, order, k, (a + b) / 2) +
          loop_lagrange(sigma, order, k, b));
}

static inline void loop_lms(struct loop *loop) {
  static double slopes[LOOP_STEPS_MAX][LOOP_VALUES];
  struct loop_track track;
  loop_begin_growing(loop, &track);
  for (int i = 0; i < loop->steps; i++) {
    int order = i < 3 ? i + 1 : 4;
    double weight[4];
    for (int j = 0; j < order; j++) {
      weight[j] = loop_integral(&track.sigma[i], order, j);
    }
    for (int k = 0; k < LOOP_VALUES; k++) {
      slopes[i][k] = loop_slope(loop, &loop->x[k], track.t[i], track.sigma[i]);
      for (int j = 0; j < order; j++) {
        loop->x[k] += weight[j] * slopes[i - j][k];
      }
    }
  }
}

static inline double loop_ancestral_up(double s, double to) {
  return fmin(to, sqrt(to * to * (s * s - to * to) / (s * s)));
}

/* Exponential integration over t = -log sigma, then noise. */
static inline double loop_sde_step(double x, double clean, double noise, double s, double to) {
  double up = loop_ancestral_up(s, to), down = sqrt(to * to - up * up);
  double h = log(s) - log(down);
  return exp(-h) * x - expm1(-h) * clean + up * noise;
}

static inline void loop_dpmpp_sde(struct loop *loop) {
  struct loop_track track;
  double one[LOOP_VALUES], two[LOOP_VALUES];
  loop_begin_growing(loop, &track);
  for (int i = 0; i < loop->steps; i++) {
    double s = track.sigma[i], to = track.sigma[i + 1];
    double middle = exp((log(s) + log(to > 0 ? to : 1)) / 2);
    if (to > 0) {
      loop->noise(loop->noise_context, one);
      loop->noise(loop->noise_context, two);
    }
    for (int k = 0; k < LOOP_VALUES; k++) {
      double x = loop->x[k];
      double clean = loop_clean(loop, x, loop->model(x / sqrt(s * s + 1), track.t[i]), s);
      if (to > 0) {
        double half = loop_sde_step(x, clean, one[k], s, middle);
        double seen = half / sqrt(middle * middle + 1);
        clean = loop_clean(loop, half, loop->model(seen, loop_timestep(loop, middle)), middle);
        double way = one[k] * sqrt(s - middle) + two[k] * sqrt(middle - to); /* of the path */
        clean = loop_sde_step(x, clean, way / sqrt(s - to), s, to);
      }
      loop->x[k] = clean;
    }
  }
}

#endif
