/* resize.c - separable resampling in whole numbers, rows first and then columns.
 *
 * Pillow's arithmetic (its docs: "Filters comparison table"; Resample of 8 bit pixels): weights are
 * made in double, scaled to 22 bits of fraction, and each pass rounds to 8 bits, so that equal
 * bytes are to be had on any machine.
 */
#include "images/resize.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/limits.h"

#define FRACTION_BITS 22 /* of 32: 8 for the pixel, 2 for weights whose sum overshoots */
#define LOBES 3.0

/* For each place of the new side, where its source begins and the weights from there on. */
struct window {
  uint32_t first, count;
};
struct weights {
  size_t size; /* weights kept per place */
  struct window *window;
  int32_t *weight; /* [places][size] */
};

static double sinc(double x) { return x == 0 ? 1 : sin(x * M_PI) / (x * M_PI); }

static double lanczos(double x) { return x >= -LOBES && x < LOBES ? sinc(x) * sinc(x / LOBES) : 0; }

/* One place: weights around its centre, summing up to one. */
static void fill_window(const struct weights *weights, uint32_t place, uint32_t from, double scale,
                        double *room) {
  double wide = scale < 1 ? 1 : scale;
  double support = LOBES * wide;
  double centre = (place + 0.5) * scale;
  double begin = centre - support + 0.5;
  double end = centre + support + 0.5;
  struct window *window = &weights->window[place];
  window->first = begin < 0 ? 0 : (uint32_t)begin;
  uint32_t last = end > from ? from : (uint32_t)end;
  window->count = last - window->first;
  double sum = 0;
  for (uint32_t i = 0; i < window->count; i++) {
    room[i] = lanczos((i + window->first - centre + 0.5) * (1 / wide));
    sum += room[i];
  }
  for (uint32_t i = 0; i < window->count; i++) {
    double one = (sum != 0 ? room[i] / sum : room[i]) * (1 << FRACTION_BITS);
    weights->weight[place * weights->size + i] = (int32_t)(one < 0 ? one - 0.5 : one + 0.5);
  }
}

static void weights_close(struct weights *weights) {
  free(weights->window);
  free(weights->weight);
}

static enum status weights_open(uint32_t from, uint32_t to, struct weights *out) {
  double scale = (double)from / to;
  struct weights weights = {.size = (size_t)ceil(LOBES * (scale < 1 ? 1 : scale)) * 2 + 1};
  weights.window = calloc(to, sizeof *weights.window);
  weights.weight = calloc(to * weights.size, sizeof *weights.weight);
  double *room = calloc(weights.size, sizeof *room);
  if (weights.window == NULL || weights.weight == NULL || room == NULL) {
    weights_close(&weights);
    free(room);
    return fail(EXHAUSTED, "no memory to resize a picture");
  }
  for (uint32_t place = 0; place < to; place++) {
    fill_window(&weights, place, from, scale, room);
  }
  free(room);
  *out = weights;
  return OK;
}

static uint8_t clip(int64_t sum) {
  int64_t value = sum >> FRACTION_BITS;
  return (uint8_t)(value < 0 ? 0 : value > 255 ? 255 : value);
}

/* One new pixel: `step` bytes lie between the source's neighbours. */
static void mix(const uint8_t *from, size_t step, const int32_t *weight, uint32_t count,
                uint32_t channels, uint8_t *to) {
  for (uint32_t c = 0; c < channels; c++) {
    int64_t sum = 1 << (FRACTION_BITS - 1);
    for (uint32_t i = 0; i < count; i++) {
      sum += (int64_t)from[i * step + c] * weight[i];
    }
    to[c] = clip(sum);
  }
}

static enum status across(const struct image *image, uint32_t width, struct image *out) {
  struct weights weights = {0};
  TRY(weights_open(image->width, width, &weights));
  enum status status = image_open(width, image->height, image->channels, out);
  for (uint32_t y = 0; status == OK && y < image->height; y++) {
    const uint8_t *row = image->pixels + (size_t)y * image->width * image->channels;
    uint8_t *to = out->pixels + (size_t)y * width * image->channels;
    for (uint32_t x = 0; x < width; x++) {
      const struct window *window = &weights.window[x];
      mix(row + (size_t)window->first * image->channels, image->channels,
          weights.weight + x * weights.size, window->count, image->channels,
          to + (size_t)x * image->channels);
    }
  }
  weights_close(&weights);
  return status;
}

static enum status down(const struct image *image, uint32_t height, struct image *out) {
  struct weights weights = {0};
  size_t row_bytes = (size_t)image->width * image->channels;
  TRY(weights_open(image->height, height, &weights));
  enum status status = image_open(image->width, height, image->channels, out);
  for (uint32_t y = 0; status == OK && y < height; y++) {
    const struct window *window = &weights.window[y];
    const uint8_t *from = image->pixels + window->first * row_bytes;
    for (uint32_t x = 0; x < image->width; x++) {
      size_t shift = (size_t)x * image->channels;
      mix(from + shift, row_bytes, weights.weight + y * weights.size, window->count,
          image->channels, out->pixels + y * row_bytes + shift);
    }
  }
  weights_close(&weights);
  return status;
}

static enum status copy(const struct image *image, struct image *out) {
  TRY(image_open(image->width, image->height, image->channels, out));
  memcpy(out->pixels, image->pixels, image_bytes(image));
  return OK;
}

static enum status resize_lanczos(const struct image *image, uint32_t width, uint32_t height,
                                  struct image *out) {
  if (image->width == width && image->height == height) {
    return copy(image, out);
  }
  if (image->height == height) {
    return across(image, width, out);
  }
  if (image->width == width) {
    return down(image, height, out);
  }
  struct image wide = {0};
  TRY(across(image, width, &wide));
  enum status status = down(&wide, height, out);
  image_close(&wide);
  return status;
}

static size_t inside(double place, uint32_t length) {
  return place < length ? (size_t)place : length - 1;
}

/* The pixel in which the middle of the new one lies; middles are summed up, as Pillow does it:
 * where one falls on a border its rounding decides. */
static enum status resize_nearest(const struct image *image, uint32_t width, uint32_t height,
                                  struct image *out) {
  double step_x = (double)image->width / width;
  double step_y = (double)image->height / height;
  double middle_y = step_y * 0.5;
  TRY(image_open(width, height, image->channels, out));
  for (uint32_t y = 0; y < height; y++) {
    size_t from_y = inside(middle_y, image->height);
    middle_y += step_y;
    double middle_x = step_x * 0.5;
    for (uint32_t x = 0; x < width; x++) {
      size_t from_x = inside(middle_x, image->width);
      middle_x += step_x;
      memcpy(out->pixels + ((size_t)y * width + x) * image->channels,
             image->pixels + (from_y * image->width + from_x) * image->channels, image->channels);
    }
  }
  return OK;
}

enum status image_resize(const struct image *image, uint32_t width, uint32_t height,
                         enum filter filter, struct image *out) {
  assert(width >= 1 && width <= INPUT_SIDE_PIXELS_MAX && height >= 1 &&
         height <= INPUT_SIDE_PIXELS_MAX);
  struct image resized = {0};
  TRY(filter == FILTER_NEAREST ? resize_nearest(image, width, height, &resized)
                               : resize_lanczos(image, width, height, &resized));
  *out = resized;
  return OK;
}
