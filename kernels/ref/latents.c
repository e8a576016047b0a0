/* latents.c - the sampler's side: into the batch, on by one step, out as pixels, and a look at the
 * values. Latents are small and f32 everywhere, so gather, advance and finite serve the cpu row as
 * well: they take whatever type the batch has. */
#include <assert.h>
#include <math.h>

#include "base/limits.h"
#include "kernels/ref/ref.h"

static void gather_value(const struct tensor *y, int64_t at, float value) {
  elements_from_f32(y->element, &value, 1,
                    (char *)y->data + at * (int64_t)element_bytes(y->element));
}

enum status ref_gather(struct device *device, const struct batch_row *rows, int64_t channels,
                       const struct tensor *y) {
  (void)device;
  int64_t pixels = y->shape[1] * y->shape[2], all = y->shape[3], planes = all - channels;
  for (int64_t m = 0; m < y->shape[0] * pixels; m++) {
    const struct batch_row *row = &rows[m / pixels];
    for (int64_t c = 0; c < channels; c++) {
      gather_value(y, m * all + c, row->scale * row->latents[m % pixels * channels + c]);
    }
    for (int64_t c = 0; c < planes; c++) {
      gather_value(y, m * all + channels + c, row->planes[m % pixels * planes + c]);
    }
  }
  return OK;
}

/* A sample beside its rows of the prediction. */
struct advance {
  const struct batch_sample *sample;
  const float *cond, *uncond; /* uncond NULL: no guidance */
  int64_t values, channels;
  float share; /* of the guided output */
};

static float guided(const struct advance *a, int64_t i) {
  return a->uncond[i] + a->sample->guidance * (a->cond[i] - a->uncond[i]);
}

static float output_value(const struct advance *a, int64_t i) {
  return a->uncond == NULL ? a->cond[i] : a->share * guided(a, i);
}

static double join_lanes(const double *lanes) {
  double sum = 0;
  for (int l = 0; l < RESCALE_LANES; l++) {
    sum += lanes[l];
  }
  return sum;
}

/* Of sums over the values, in lanes, and over their squares; not below 0. */
static double variance(const double *sums, const double *squares, int64_t count) {
  double mean = join_lanes(sums) / (double)count;
  double found = join_lanes(squares) / (double)count - mean * mean;
  return found > 0 ? found : 0;
}

static float rescaled_share(const struct advance *a) {
  double sums[2][RESCALE_LANES] = {{0}}, squares[2][RESCALE_LANES] = {{0}};
  for (int64_t i = 0; i < a->values; i++) {
    const double pair[2] = {a->cond[i], guided(a, i)};
    for (int k = 0; k < 2; k++) {
      sums[k][i % RESCALE_LANES] += pair[k];
      squares[k][i % RESCALE_LANES] += pair[k] * pair[k];
    }
  }
  double cond = variance(sums[0], squares[0], a->values),
         both = variance(sums[1], squares[1], a->values), phi = a->sample->rescale;
  return both > 0 ? (float)(phi * sqrt(cond / both) + (1 - phi)) : 1;
}

/* Slot 0 where the picture may not change is the picture at this step's noise. */
static float masked(const struct advance *a, int64_t i, float value) {
  const struct batch_sample *s = a->sample;
  float mask = s->mask[i / a->channels];
  if (mask == 1) {
    return value;
  }
  float kept = s->keep_clean * s->clean[i] + s->keep_begun * s->begun[i];
  return mask * value + (1 - mask) * kept;
}

/* Whether all that it wrote is finite. */
static bool advance_sample(const struct advance *a) {
  const struct batch_sample *sample = a->sample;
  int64_t slots = sample->slot_count, columns = slots + 2;
  bool finite = true;
  for (int64_t i = 0; i < a->values; i++) {
    float before[SAMPLE_SLOTS_MAX + 2];
    for (int64_t s = 0; s < slots; s++) {
      before[s] = sample->slots[s * a->values + i];
    }
    before[slots] = output_value(a, i);
    before[slots + 1] = sample->noise != NULL ? sample->noise[i] : 0;
    for (int64_t s = 0; s < slots; s++) {
      float sum = 0;
      for (int64_t c = 0; c < columns; c++) {
        sum += sample->matrix[s * columns + c] * before[c];
      }
      sum = s == 0 && sample->mask != NULL ? masked(a, i, sum) : sum;
      sample->slots[s * a->values + i] = sum;
      finite = finite && isfinite(sum);
    }
  }
  return finite;
}

static struct advance advance_of(const struct batch_sample *sample,
                                 const struct tensor *prediction) {
  int64_t each = tensor_count(prediction) / prediction->shape[0];
  assert(prediction->data != NULL);
  struct advance a = {.sample = sample,
                      .cond = values(prediction) + sample->cond_row * each,
                      .values = each,
                      .channels = prediction->shape[3],
                      .share = 1};
  a.uncond = sample->uncond_row < 0 ? NULL : values(prediction) + sample->uncond_row * each;
  a.share = a.uncond != NULL && sample->rescale != 0 ? rescaled_share(&a) : 1;
  return a;
}

enum status ref_advance(struct device *device, const struct batch_sample *samples, int count,
                        const struct tensor *prediction, const struct tensor *finite) {
  (void)device;
  int32_t *verdicts = finite->data;
  for (int i = 0; i < count; i++) {
    verdicts[i] = 1;
    if (samples[i].slots != NULL) {
      const struct advance a = advance_of(&samples[i], prediction);
      verdicts[i] = advance_sample(&a);
    }
  }
  return OK;
}

enum status ref_pixels(struct device *device, const struct tensor *x, const struct tensor *y) {
  (void)device;
  uint8_t *pixels = y->data;
  for (int64_t i = 0; i < tensor_count(x); i++) {
    float unit = values(x)[i] / 2 + 0.5f;
    unit = unit > 0 ? unit : 0; /* NaN becomes 0 */
    unit = unit < 1 ? unit : 1;
    pixels[i] = (uint8_t)rintf(unit * 255); /* the default rounding mode is half to even */
  }
  return OK;
}

static bool is_finite(enum element element, const char *data, int64_t count) {
  for (int64_t i = 0; i < count; i++) {
    float value;
    elements_to_f32(element, data + i * (int64_t)element_bytes(element), 1, &value);
    if (!isfinite(value)) {
      return false;
    }
  }
  return true;
}

enum status ref_finite(struct device *device, const struct tensor *x, const struct tensor *finite) {
  (void)device;
  int64_t each = tensor_count(x) / x->shape[0];
  int32_t *verdicts = finite->data;
  for (int64_t b = 0; b < x->shape[0]; b++) {
    verdicts[b] = is_finite(
        x->element, (const char *)x->data + b * each * (int64_t)element_bytes(x->element), each);
  }
  return OK;
}
