/* loop.h - what the plain loops of loops.h share: options, noise levels, spacings, the start and
 * the model.
 *
 * Nothing is shared with worker/sampler. Options that plans do not offer (clipping, another end)
 * are here so that the loops can first be held against the goldens of diffusers' own tests.
 */
#ifndef DARKROOM_TESTS_SAMPLER_LOOP_H
#define DARKROOM_TESTS_SAMPLER_LOOP_H

#include <math.h>
#include <stdbool.h>
#include <string.h>

enum { LOOP_VALUES = 768, LOOP_TRAIN_MAX = 1100, LOOP_STEPS_MAX = 1001 };
enum loop_prediction { LOOP_EPSILON, LOOP_V, LOOP_SAMPLE };

struct loop {
  int train, steps;
  int first;                   /* DDIM: steps left out */
  double beta_start, beta_end; /* linear, or linear in the root */
  bool scaled;
  enum loop_prediction prediction;
  bool karras;
  bool clip;           /* x0 to -1..1: DDIM's and DDPM's clip_sample */
  bool alpha_to_one;   /* DDIM, PNDM */
  bool runge_kutta;    /* PNDM: the beginning that Stable Diffusion skips */
  bool end_at_minimum; /* DPM++, UniPC: end at the table's least sigma instead of 0 */
  bool feed_scaled;    /* the tests of diffusers' Euler family step from the scaled input */
  double (*model)(double x, double t);
  void (*noise)(void *context, double *out); /* of samplers that draw */
  void *noise_context;
  double x[LOOP_VALUES];
};

/* The product of 1 - beta up to t; the table of the last loop asked about is kept. */
static inline double loop_alpha_bar(const struct loop *loop, int t) {
  static struct loop of;
  static double table[LOOP_TRAIN_MAX];
  if (of.train != loop->train || of.beta_start != loop->beta_start ||
      of.beta_end != loop->beta_end || of.scaled != loop->scaled) {
    of = *loop;
    double from = loop->scaled ? sqrt(loop->beta_start) : loop->beta_start;
    double to = loop->scaled ? sqrt(loop->beta_end) : loop->beta_end;
    double product = 1.0;
    for (int i = 0; i < loop->train; i++) {
      double beta = from + (to - from) * i / (loop->train - 1);
      product *= 1.0 - (loop->scaled ? beta * beta : beta);
      table[i] = product;
    }
  }
  return table[t];
}

static inline double loop_sigma(const struct loop *loop, double t) {
  int below = (int)t;
  double low = loop_alpha_bar(loop, below);
  low = sqrt((1.0 - low) / low);
  if (below == loop->train - 1) {
    return low;
  }
  double high = loop_alpha_bar(loop, below + 1);
  return low + (sqrt((1.0 - high) / high) - low) * (t - below);
}

/* The timestep of a sigma: bisection on log sigma between whole timesteps. */
static inline double loop_timestep(const struct loop *loop, double sigma) {
  int low = 0, high = loop->train - 1;
  while (high - low > 1) {
    int middle = (low + high) / 2;
    *(loop_sigma(loop, middle) <= sigma ? &low : &high) = middle;
  }
  double from = log(loop_sigma(loop, low)), to = log(loop_sigma(loop, high));
  double weight = (log(sigma) - from) / (to - from);
  return low + fmin(fmax(weight, 0.0), 1.0);
}

/* linspace spacing over count points, the last left out when there is one more than steps. */
static inline void loop_points(const struct loop *loop, int count, bool rounded, double *t,
                               double *sigma) {
  for (int i = 0; i < loop->steps; i++) {
    double at = count > 1 ? (loop->train - 1.0) * (count - 1 - i) / (count - 1) : 0.0;
    t[i] = rounded ? rint(at) : at;
    sigma[i] = loop_sigma(loop, t[i]);
  }
  sigma[loop->steps] = 0.0;
}

static inline void loop_karras(const struct loop *loop, double max, double min, double *t,
                               double *sigma) {
  for (int i = 0; i < loop->steps; i++) {
    double ramp = loop->steps > 1 ? (double)i / (loop->steps - 1) : 0.0;
    sigma[i] = pow(pow(max, 1 / 7.0) + ramp * (pow(min, 1 / 7.0) - pow(max, 1 / 7.0)), 7.0);
    t[i] = loop_timestep(loop, sigma[i]);
  }
}

/* The harness of diffusers' scheduler tests: a start that counts up, in torch's order, and out = x
 * t/(t + 1). */
static inline void loop_start(double *x) {
  for (int c = 0; c < 4; c++) {
    for (int rest = 0; rest < LOOP_VALUES / 4; rest++) {
      x[c * (LOOP_VALUES / 4) + rest] = (double)(rest * 4 + c) / LOOP_VALUES;
    }
  }
}
static inline double loop_model(double x, double t) { return x * t / (t + 1); }

static inline double loop_sum(const double *x) {
  double sum = 0.0;
  for (int k = 0; k < LOOP_VALUES; k++) {
    sum += fabs(x[k]);
  }
  return sum;
}

#endif
