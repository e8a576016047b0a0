/* schedules.c - three ways to go from the noisiest sigma to the least. */
#include "worker/sampler/schedules.h"

#include <assert.h>
#include <math.h>

#define KARRAS_RHO 7.0
#define BETA_SHAPE 0.6

/* I_x(a, a), the regularized incomplete beta function, by its power series (DLMF 8.17.7), which
 * falls at least as 2^-n for x up to one half. scale is 1/B(a, a). */
static double beta_part(double x, double a, double scale) {
  double term = 1.0;
  double sum = 1.0 / a;
  for (int n = 1; fabs(term) > 1e-18 && n < 200; n++) {
    term *= x * (n - a) / n;
    sum += term / (a + n);
  }
  return scale * pow(x, a) * sum;
}

/* The quantile p of the beta distribution with two equal shapes a: the x with I_x(a, a) = p.
 * Halving: 60 times leaves nothing to wish for, and it cannot leave the interval as Newton's
 * method does where the density has no bound. The distribution is symmetric, so that x stays
 * within the half that the series likes. */
static double beta_quantile(double p, double a) {
  if (p > 0.5) {
    return 1.0 - beta_quantile(1.0 - p, a);
  }
  double scale = tgamma(2.0 * a) / (tgamma(a) * tgamma(a));
  double low = 0.0;
  double high = 0.5;
  for (int i = 0; i < 60 && p > 0.0; i++) {
    double middle = 0.5 * (low + high);
    *(beta_part(middle, a, scale) < p ? &low : &high) = middle;
  }
  return low;
}

static double karras(double sigma_max, double sigma_min, double ramp) {
  double high = pow(sigma_max, 1.0 / KARRAS_RHO);
  double low = pow(sigma_min, 1.0 / KARRAS_RHO);
  return pow(high + ramp * (low - high), KARRAS_RHO);
}

static double exponential(double sigma_max, double sigma_min, double ramp) {
  return exp(log(sigma_max) + ramp * (log(sigma_min) - log(sigma_max)));
}

static double beta(double sigma_max, double sigma_min, double ramp) {
  return sigma_min + beta_quantile(1.0 - ramp, BETA_SHAPE) * (sigma_max - sigma_min);
}

typedef double curve(double sigma_max, double sigma_min, double ramp);
static curve *const curves[] = {
    [SCHEDULE_KARRAS] = karras, [SCHEDULE_EXPONENTIAL] = exponential, [SCHEDULE_BETA] = beta};

void schedule_sigmas(enum noise_schedule schedule, double sigma_max, double sigma_min, int count,
                     double *sigma) {
  assert(schedule > SCHEDULE_MODEL && (size_t)schedule < sizeof curves / sizeof curves[0]);
  for (int i = 0; i < count; i++) {
    double ramp = count > 1 ? (double)i / (count - 1) : 0.0;
    sigma[i] = curves[schedule](sigma_max, sigma_min, ramp);
  }
}
