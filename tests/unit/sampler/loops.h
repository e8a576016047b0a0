/* loops.h - each sampler once more, as the plain loop its paper gives, in double and without a
 * table: the judge of plans. */
#ifndef DARKROOM_TESTS_SAMPLER_LOOPS_H
#define DARKROOM_TESTS_SAMPLER_LOOPS_H

#include "tests/unit/sampler/loop.h"

/* x0 where x = x0 + sigma e. */
static inline double loop_clean(const struct loop *loop, double x, double out, double sigma) {
  switch (loop->prediction) {
    case LOOP_EPSILON:
      return x - sigma * out;
    case LOOP_V:
      return x / (sigma * sigma + 1) - out * sigma / sqrt(sigma * sigma + 1);
    case LOOP_SAMPLE:
      break;
  }
  return out;
}

static inline void loop_euler_family(struct loop *loop, bool ancestral) {
  double t[LOOP_STEPS_MAX], sigma[LOOP_STEPS_MAX + 1], noise[LOOP_VALUES] = {0};
  loop_points(loop, loop->steps, false, t, sigma);
  if (loop->karras) {
    loop_karras(loop, sigma[0], sigma[loop->steps - 1], t, sigma);
  }
  for (int k = 0; k < LOOP_VALUES; k++) {
    loop->x[k] *= sigma[0];
  }
  for (int i = 0; i < loop->steps; i++) {
    double s = sigma[i], to = sigma[i + 1];
    double up = ancestral ? sqrt(to * to * (s * s - to * to) / (s * s)) : 0.0;
    double down = sqrt(to * to - up * up);
    if (ancestral) {
      loop->noise(loop->noise_context, noise);
    }
    for (int k = 0; k < LOOP_VALUES; k++) {
      double seen = loop->x[k] / sqrt(s * s + 1);
      double x = loop->feed_scaled ? seen : loop->x[k];
      double d = (x - loop_clean(loop, x, loop->model(seen, t[i]), s)) / s;
      loop->x[k] = x + d * (down - s) + noise[k] * up;
    }
  }
}

static inline void loop_euler(struct loop *loop) { loop_euler_family(loop, false); }
static inline void loop_euler_a(struct loop *loop) { loop_euler_family(loop, true); }

static inline void loop_ddim(struct loop *loop) {
  int stride = loop->train / loop->steps;
  for (int i = loop->steps - 1 - loop->first; i >= 0; i--) {
    double a = loop_alpha_bar(loop, i * stride);
    double to = i > 0                ? loop_alpha_bar(loop, (i - 1) * stride)
                : loop->alpha_to_one ? 1.0
                                     : loop_alpha_bar(loop, 0);
    for (int k = 0; k < LOOP_VALUES; k++) {
      double x = loop->x[k], out = loop->model(x, i * stride);
      double clean = loop->prediction == LOOP_EPSILON ? (x - sqrt(1 - a) * out) / sqrt(a)
                     : loop->prediction == LOOP_V     ? sqrt(a) * x - sqrt(1 - a) * out
                                                      : out;
      double e = loop->prediction == LOOP_EPSILON ? out
                 : loop->prediction == LOOP_V     ? sqrt(a) * out + sqrt(1 - a) * x
                                                  : (x - sqrt(a) * out) / sqrt(1 - a);
      clean = loop->clip ? fmin(fmax(clean, -1.0), 1.0) : clean;
      loop->x[k] = sqrt(to) * clean + sqrt(1 - to) * e;
    }
  }
}

static inline void loop_dpmpp_2m(struct loop *loop) {
  double t[LOOP_STEPS_MAX], sigma[LOOP_STEPS_MAX + 1], before[LOOP_VALUES];
  loop_points(loop, loop->steps + 1, true, t, sigma);
  if (loop->karras) {
    loop_karras(loop, loop_sigma(loop, loop->train - 1), loop_sigma(loop, 0), t, sigma);
    for (int i = 0; i < loop->steps; i++) {
      t[i] = rint(t[i]);
    }
  }
  sigma[loop->steps] = loop->end_at_minimum ? loop_sigma(loop, 0) : 0.0;
  for (int i = 0; i < loop->steps; i++) {
    double alpha = 1 / sqrt(sigma[i] * sigma[i] + 1), to = sigma[i + 1],
           alpha_to = 1 / sqrt(to * to + 1);
    double h = log(sigma[i]) - log(to);
    for (int k = 0; k < LOOP_VALUES; k++) {
      double x = loop->x[k];
      double clean = loop_clean(loop, x / alpha, loop->model(x, t[i]), sigma[i]);
      double d = clean;
      if (i > 0 && to > 0) {
        double r = (log(sigma[i - 1]) - log(sigma[i])) / h;
        d += (clean - before[k]) / (2 * r);
      }
      loop->x[k] = alpha_to * to / (alpha * sigma[i]) * x - alpha_to * expm1(-h) * d;
      before[k] = clean;
    }
  }
}

#endif
