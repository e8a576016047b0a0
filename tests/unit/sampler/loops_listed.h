/* loops_listed.h - DDPM, LCM and TCD as plain loops: the judges of plans, beside loops.h. */
#ifndef DARKROOM_TESTS_SAMPLER_LOOPS_LISTED_H
#define DARKROOM_TESTS_SAMPLER_LOOPS_LISTED_H

#include "tests/unit/sampler/loop.h"

/* x0 where x = sqrt(a) x0 + sqrt(1 - a) e. */
static inline double loop_clean_at(const struct loop *loop, double x, double out, double a) {
  double clean = loop->prediction == LOOP_EPSILON ? (x - sqrt(1 - a) * out) / sqrt(a)
                 : loop->prediction == LOOP_V     ? sqrt(a) * x - sqrt(1 - a) * out
                                                  : out;
  return loop->clip ? fmin(fmax(clean, -1.0), 1.0) : clean;
}
static inline double loop_noise_at(const struct loop *loop, double x, double out, double a) {
  return loop->prediction == LOOP_EPSILON ? out
         : loop->prediction == LOOP_V     ? sqrt(a) * out + sqrt(1 - a) * x
                                          : (x - sqrt(a) * out) / sqrt(1 - a);
}

/* q(x' | x, x0), equation 7. */
static inline void loop_ddpm(struct loop *loop) {
  int stride = loop->train / loop->steps;
  double noise[LOOP_VALUES] = {0};
  for (int i = loop->steps - 1; i >= 0; i--) {
    double a = loop_alpha_bar(loop, i * stride);
    double to = i > 0 ? loop_alpha_bar(loop, (i - 1) * stride) : 1.0;
    double beta = 1 - a / to;
    if (i > 0) {
      loop->noise(loop->noise_context, noise);
    }
    for (int k = 0; k < LOOP_VALUES; k++) {
      double x = loop->x[k];
      double clean = loop_clean_at(loop, x, loop->model(x, i * stride), a);
      double mean = (sqrt(to) * beta * clean + sqrt(1 - beta) * (1 - to) * x) / (1 - a);
      loop->x[k] = mean + (i > 0 ? sqrt((1 - to) / (1 - a) * beta) * noise[k] : 0);
    }
  }
}

/* Timestep i of LCM and TCD: of the 50 they were distilled on. */
static inline int loop_grid(const struct loop *loop, int i) {
  return (50 - (int)floor(i * 50.0 / loop->steps)) * (loop->train / 50) - 1;
}

static inline void loop_lcm(struct loop *loop) {
  double noise[LOOP_VALUES] = {0};
  for (int i = 0; i < loop->steps; i++) {
    int t = loop_grid(loop, i);
    bool last = i + 1 == loop->steps;
    double a = loop_alpha_bar(loop, t),
           to = last ? 1 : loop_alpha_bar(loop, loop_grid(loop, i + 1));
    double skip = 0.25 / (100.0 * t * t + 0.25), follow = 10.0 * t / sqrt(100.0 * t * t + 0.25);
    if (!last) {
      loop->noise(loop->noise_context, noise);
    }
    for (int k = 0; k < LOOP_VALUES; k++) {
      double x = loop->x[k];
      double clean = follow * loop_clean_at(loop, x, loop->model(x, t), a) + skip * x;
      loop->x[k] = sqrt(to) * clean + sqrt(1 - to) * noise[k];
    }
  }
}

/* With eta 0. */
static inline void loop_tcd(struct loop *loop) {
  for (int i = 0; i < loop->steps; i++) {
    int t = loop_grid(loop, i);
    double a = loop_alpha_bar(loop, t);
    double to = loop_alpha_bar(loop, i + 1 == loop->steps ? 0 : loop_grid(loop, i + 1));
    for (int k = 0; k < LOOP_VALUES; k++) {
      double x = loop->x[k], out = loop->model(x, t);
      loop->x[k] =
          sqrt(to) * loop_clean_at(loop, x, out, a) + sqrt(1 - to) * loop_noise_at(loop, x, out, a);
    }
  }
}

#endif
