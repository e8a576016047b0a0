/* unipc.c - UniPC of order 2 with B(h) = e^h - 1, images predicted (Zhao et al. 2023, 2302.04867,
 * "bh2"). What the U-Net says of a sample first corrects the step that led there, then predicts the
 * next: one look a step.
 *
 * Slot 1 keeps the corrected sample that the last step began with, slots 2 and 3 the images that
 * were predicted there and one step before.
 */
#include <math.h>

#include "worker/sampler/keeping.h"

enum { SLOT_BEGUN = 1, SLOT_IMAGE = 2, SLOT_OLDER = 3, SLOTS = 4, ORDER = 2 };

/* Of a step from sigma[0] to sigma[1]: p = e^-h - 1, and the share of the slope between the images
 * at sigma[0] and sigma[-1], r = -h before/h. */
struct stride {
  double keep, gain; /* x' = keep x - gain * (...) */
  double p, h, r;
};
static struct stride stride_of(const double *sigma, int order) {
  struct stride stride = {.keep = keeping_kept(sigma[0], sigma[1]),
                          .p = sigma[1] / sigma[0] - 1.0,
                          .h = log(sigma[0] / sigma[1])};
  stride.gain = level_keeping(sigma[1]).clean * stride.p;
  stride.r = order == ORDER ? -log(sigma[-1] / sigma[0]) / stride.h : 0.0;
  return stride;
}

static struct form difference(struct form left, struct form right) {
  return form_plus(left, form_times(-1.0, right));
}

/* keep x - gain (m + D), m the image at the step's beginning. */
static struct form moved(const struct stride *stride, struct form begun, struct form image,
                         struct form change) {
  return form_plus(form_times(stride->keep, begun),
                   form_times(-stride->gain, form_plus(image, change)));
}

/* UniC: the step is made again, now that the image at its end is known. Order 1 takes half of the
 * images' difference; order 2 the weights that solve w1 + w2 = b1, r w1 + w2 = b2. */
static struct form corrected(const double *sigma, int order, struct form image) {
  struct stride stride = stride_of(sigma, order);
  struct form before = form_of(SLOT_IMAGE);
  double last = 0.5;
  struct form change = form_times(0.0, before);
  if (order == ORDER) {
    double b1 = (-stride.p / stride.h - 1.0) / stride.p;
    double b2 = 2.0 * (-b1 * stride.p / stride.h - 0.5) / stride.p;
    double first = (b1 - b2) / (1.0 - stride.r);
    last = b1 - first;
    change = form_times(first / stride.r, difference(form_of(SLOT_OLDER), before));
  }
  change = form_plus(change, form_times(last, difference(image, before)));
  return moved(&stride, form_of(SLOT_BEGUN), before, change);
}

/* UniP: half of the slope is all that order 2 adds. */
static struct form predicted_sample(const double *sigma, int order, struct form begun,
                                    struct form image) {
  struct stride stride = stride_of(sigma, order);
  struct form change = form_times(0.0, image);
  if (order == ORDER) {
    change = form_times(0.5 / stride.r, difference(form_of(SLOT_IMAGE), image));
  }
  return moved(&stride, begun, image, change);
}

static int least(int a, int b) { return a < b ? a : b; }

/* The order grows from the part's first step and falls before the run's last, which goes to sigma
 * 0.
 *
 */
static int order_at(const struct keeping *run, int i) {
  return least(least(ORDER, run->points.steps - i), i - run->part.first + 1);
}

enum status unipc_fill(struct arena *arena, const struct plan_request *request, struct plan *out) {
  struct keeping run;
  TRY(keeping_find(request, ROUNDED, &run));
  TRY(plan_take(arena, &run.part, 1, SLOTS, out));
  keeping_begin(request, &run, out);
  for (int i = run.part.first; i < run.part.last; i++) {
    const double *sigma = &run.points.sigma[i];
    int row = i - run.part.first;
    struct form image = image_keeping(request->levels->facts.prediction, sigma[0]);
    struct form begun = row > 0 ? corrected(sigma - 1, order_at(&run, i - 1), image) : form_of(0);
    keeping_row(&out->row[row], &run, i);
    plan_set(out, row, 0, predicted_sample(sigma, order_at(&run, i), begun, image));
    plan_set(out, row, SLOT_BEGUN, begun);
    plan_set(out, row, SLOT_IMAGE, image);
    plan_set(out, row, SLOT_OLDER, form_of(SLOT_IMAGE));
  }
  return OK;
}
