/* loops_keeping.h - DPM++ 2M SDE and UniPC as plain loops: the judges of plans, beside loops.h. */
#ifndef DARKROOM_TESTS_SAMPLER_LOOPS_KEEPING_H
#define DARKROOM_TESTS_SAMPLER_LOOPS_KEEPING_H

#include "tests/unit/sampler/loops_growing.h"

static inline void loop_begin_keeping(const struct loop *loop, struct loop_track *track) {
  loop_points(loop, loop->steps + 1, true, track->t, track->sigma);
  if (loop->karras) {
    loop_karras(loop, loop_sigma(loop, loop->train - 1), loop_sigma(loop, 0), track->t,
                track->sigma);
    for (int i = 0; i < loop->steps; i++) {
      track->t[i] = rint(track->t[i]);
    }
  }
  track->sigma[loop->steps] = loop->end_at_minimum ? loop_sigma(loop, 0) : 0.0;
}

static inline double loop_alpha(double sigma) { return 1 / sqrt(sigma * sigma + 1); }

static inline void loop_dpmpp_2m_sde(struct loop *loop) {
  struct loop_track track;
  double before[LOOP_VALUES], noise[LOOP_VALUES];
  loop_begin_keeping(loop, &track);
  for (int i = 0; i < loop->steps; i++) {
    double s = track.sigma[i], to = track.sigma[i + 1], h = log(s) - log(to);
    loop->noise(loop->noise_context, noise);
    for (int k = 0; k < LOOP_VALUES; k++) {
      double x = loop->x[k];
      double clean = loop_clean(loop, x / loop_alpha(s), loop->model(x, track.t[i]), s);
      double d = clean;
      if (i > 0 && to > 0) {
        d += (clean - before[k]) * h / (2 * (log(track.sigma[i - 1]) - log(s)));
      }
      loop->x[k] = loop_alpha(to) * to / (loop_alpha(s) * s) * exp(-h) * x -
                   loop_alpha(to) * expm1(-2 * h) * d +
                   loop_alpha(to) * to * sqrt(-expm1(-2 * h)) * noise[k];
      before[k] = clean;
    }
  }
}

/* One UniPC update from sigma[0] to sigma[1]: m are images at sigma[1] (the corrector's, else
 * NULL), sigma[0] and sigma[-1]. Equations 3 and 4 of the paper with B(h) = e^-h - 1. */
static inline double loop_unipc_update(const double *sigma, int order, double x, const double *m,
                                       const double *after) {
  double to = sigma[1], s = sigma[0], h = log(s) - log(to), p = expm1(-h);
  double moved = loop_alpha(to) * to / (loop_alpha(s) * s) * x - loop_alpha(to) * p * m[0];
  double r = order == 2 ? (log(s) - log(sigma[-1])) / h : 1, slope = 0;
  double rest = order == 2 ? (m[1] - m[0]) / r : 0;
  if (after == NULL) {
    slope = rest / 2;
  } else if (order == 1) {
    slope = (*after - m[0]) / 2;
  } else {
    double f1 = p / -h - 1, f2 = f1 / -h - 0.5;
    double b1 = f1 / p, b2 = 2 * f2 / p, w = (b1 - b2) / (1 - r);
    slope = w * rest + (b1 - w) * (*after - m[0]);
  }
  return moved - loop_alpha(to) * p * slope;
}

static inline void loop_unipc(struct loop *loop) {
  static double m[LOOP_VALUES][2], begun[LOOP_VALUES];
  struct loop_track track;
  loop_begin_keeping(loop, &track);
  int before = 0;
  for (int i = 0; i < loop->steps; i++) {
    const double *sigma = &track.sigma[i];
    int order = i > 0 && i + 1 < loop->steps ? 2 : 1;
    for (int k = 0; k < LOOP_VALUES; k++) {
      double x = loop->x[k];
      double clean = loop_clean(loop, x / loop_alpha(*sigma), loop->model(x, track.t[i]), *sigma);
      if (i > 0) {
        x = loop_unipc_update(sigma - 1, before, begun[k], m[k], &clean);
      }
      m[k][1] = m[k][0];
      m[k][0] = clean;
      begun[k] = x;
      loop->x[k] = loop_unipc_update(sigma, order, x, m[k], NULL);
    }
    before = order;
  }
}

#endif
