/* preview.c - patches, what the decoder makes of them, and the fit. */
#include "worker/model/preview.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/random.h"
#include "worker/model/model_inside.h"
#include "worker/model/picture_input.h"

/* Eight by eight patches: more colours than a latent has channels, each wide enough that its middle
 * does not see the next one. */
enum { PATCHES = 8, PATCH_CELLS = 4, SIDE = PATCHES * PATCH_CELLS, SAMPLES = PATCHES * PATCHES };
_Static_assert(SAMPLES >= VAE_CHANNELS_MAX, "a fit is never of more unknowns than samples");

#define SEED 0
#define RIDGE 1e-4 /* added for each unknown: so that any latents can be fitted */

/* What is fitted: latents of the patches and the colours of their middles. */
struct samples {
  int channels;
  float latent[SAMPLES * VAE_CHANNELS_MAX]; /* [SAMPLES, channels] */
  float colour[SAMPLES][3];
};

/* ---- patches ---- */

/* Latents as they are where a picture is finished: about of standard deviation 1. */
static void draw(struct samples *samples) {
  struct random random;
  random_seed(&random, SEED);
  random_normal(&random, samples->latent, (size_t)(SAMPLES * samples->channels));
}

static void fill_cells(const struct samples *samples, float *cells) {
  size_t row = (size_t)samples->channels;
  for (int y = 0; y < SIDE; y++) {
    for (int x = 0; x < SIDE; x++) {
      int patch = y / PATCH_CELLS * PATCHES + x / PATCH_CELLS;
      memcpy(cells + (size_t)(y * SIDE + x) * row, samples->latent + (size_t)patch * row,
             row * sizeof *cells);
    }
  }
}

/* The mean colour of the cells within a patch that touch no other. */
static void look(struct samples *samples, const float *picture, int factor) {
  int side = SIDE * factor, margin = factor, inside = (PATCH_CELLS - 2) * factor;
  for (int i = 0; i < SAMPLES; i++) {
    int top = i / PATCHES * PATCH_CELLS * factor + margin,
        left = i % PATCHES * PATCH_CELLS * factor + margin;
    double sum[3] = {0};
    for (int at = 0; at < inside * inside; at++) {
      const float *pixel = picture + 3 * ((top + at / inside) * side + left + at % inside);
      for (int c = 0; c < 3; c++) {
        sum[c] += pixel[c];
      }
    }
    for (int c = 0; c < 3; c++) {
      samples->colour[i][c] = (float)(sum[c] / (inside * inside));
    }
  }
}

/* ---- the fit ---- */

enum { UNKNOWNS_MAX = VAE_CHANNELS_MAX + 1 };
struct equations {
  int unknowns;
  double left[UNKNOWNS_MAX][UNKNOWNS_MAX], right[UNKNOWNS_MAX][3];
};

static double unknown_at(const struct samples *samples, int sample, int i) {
  return i < samples->channels ? samples->latent[sample * samples->channels + i] : 1;
}

static void write_equations(const struct samples *samples, struct equations *out) {
  *out = (struct equations){.unknowns = samples->channels + 1};
  for (int i = 0; i < out->unknowns; i++) {
    out->left[i][i] = RIDGE;
    for (int s = 0; s < SAMPLES; s++) {
      double value = unknown_at(samples, s, i);
      for (int j = 0; j < out->unknowns; j++) {
        out->left[i][j] += value * unknown_at(samples, s, j);
      }
      for (int c = 0; c < 3; c++) {
        out->right[i][c] += value * samples->colour[s][c];
      }
    }
  }
}

/* By elimination: symmetric with a positive diagonal, no rows need to be exchanged. */
static void solve(struct equations *e) {
  for (int i = 0; i < e->unknowns; i++) {
    for (int k = 0; k < e->unknowns; k++) {
      double part = k == i ? 0 : e->left[k][i] / e->left[i][i];
      for (int j = i; j < e->unknowns; j++) {
        e->left[k][j] -= part * e->left[i][j];
      }
      for (int c = 0; c < 3; c++) {
        e->right[k][c] -= part * e->right[i][c];
      }
    }
  }
  for (int i = 0; i < e->unknowns; i++) {
    for (int c = 0; c < 3; c++) {
      e->right[i][c] /= e->left[i][i];
    }
  }
}

static void fit(const struct samples *samples, struct preview *out) {
  struct equations equations;
  write_equations(samples, &equations);
  solve(&equations);
  *out = (struct preview){.channels = samples->channels};
  for (int c = 0; c < 3; c++) {
    for (int i = 0; i < equations.unknowns; i++) {
      out->factor[c][i] = (float)equations.right[i][c];
    }
  }
}

/* ---- the decoder ---- */

/* cells: the host's, of the decoder's own scale; NULL in a dry pass. */
static enum status decode(const struct pass *pass, const struct model *model, const float *cells,
                          struct tensor *picture) {
  int64_t side = (int64_t)SIDE * model->family.scale_factor;
  struct tensor latents, input;
  TRY(pass_take_as(pass, ELEMENT_F32, TENSOR_SHAPE(1, side, side, 3), picture));
  TRY(pass_take_as(pass, ELEMENT_F32, TENSOR_SHAPE(SIDE, SIDE, model->family.vae.latent_channels),
                   &latents));
  if (!pass->dry) {
    TRY(device_put(pass->device, cells, tensor_bytes(&latents), &latents));
  }
  TRY(picture_input(pass, &latents, &input));
  return vae_run(pass, &model->vae, &input, picture);
}

static enum status decode_dry(const struct pass *pass, const struct model *model,
                              const struct tensor *unused) {
  (void)unused;
  struct pass own = model_pass(model, pass->arena, model->family.vae.precision);
  struct tensor picture;
  own.dry = true;
  return decode(&own, model, NULL, &picture);
}

size_t model_preview_bytes(const struct model *model) {
  return model_dry_bytes(model, NULL, decode_dry);
}

/* What the decoder makes of the patches; values is the host's, of picture or cells, whichever is
 * larger. */
static enum status show(const struct model *model, struct arena *turn, struct samples *samples,
                        float *values) {
  struct pass pass = model_pass(model, turn, model->family.vae.precision);
  int count = SIDE * SIDE * samples->channels;
  struct tensor picture;
  draw(samples);
  fill_cells(samples, values);
  for (int i = 0; i < count; i++) {
    values[i] *= model_decode_scale(model);
  }
  TRY(decode(&pass, model, values, &picture));
  TRY(device_get(model->device, &picture, values, tensor_bytes(&picture)));
  look(samples, values, model->family.scale_factor);
  return OK;
}

enum status model_preview(struct model *model, struct arena *turn, struct preview *out) {
  struct samples *samples = calloc(1, sizeof *samples);
  size_t side = (size_t)SIDE * (size_t)model->family.scale_factor;
  size_t cells = (size_t)SIDE * SIDE * VAE_CHANNELS_MAX;
  float *values = calloc(3 * side * side > cells ? 3 * side * side : cells, sizeof *values);
  enum status status = EXHAUSTED;
  if (samples != NULL && values != NULL) {
    struct arena_mark mark = arena_mark(turn);
    samples->channels = model->family.vae.latent_channels;
    status = show(model, turn, samples, values);
    arena_release(turn, mark);
  } else {
    fail(EXHAUSTED, "no memory for a preview's colours");
  }
  if (status == OK) {
    fit(samples, out);
  }
  free(samples);
  free(values);
  return status;
}

/* ---- colours ---- */

static uint8_t byte_of(float value) {
  float scaled = nearbyintf((value / 2 + 0.5f) * 255);
  return scaled > 255 ? 255 : scaled > 0 ? (uint8_t)scaled : 0; /* NaN is 0 */
}

void preview_pixels(const struct preview *preview, const float *latents, size_t cells,
                    uint8_t *pixels) {
  size_t channels = (size_t)preview->channels;
  for (size_t at = 0; at < cells; at++) {
    for (int c = 0; c < 3; c++) {
      const float *factor = preview->factor[c];
      float sum = factor[channels];
      for (size_t i = 0; i < channels; i++) {
        sum += factor[i] * latents[at * channels + i];
      }
      pixels[3 * at + (size_t)c] = byte_of(sum);
    }
  }
}
