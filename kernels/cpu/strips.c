/* strips.c - a conversion costs little when it is of a few hundred values, and much when it is of
 * one.
 */
#include "kernels/cpu/strips.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/progress.h"
#include "kernels/cpu/bodies.h"
#include "kernels/cpu/panels.h"

/* A source that lies as its dimensions are counted, or turned as a matrix may be: strips of values
 * one after another. */
struct strips {
  int64_t count, length;
  const int64_t *start; /* where a strip begins in the target, */
  int64_t *place;       /* and where each of its values goes from there */
};

static bool steps_by(const struct places *places, int dimension, int64_t step) {
  for (int64_t i = 0; i < places->shape[dimension]; i++) {
    if (places->place[dimension][i] != i * step) {
      return false;
    }
  }
  return true;
}

static bool is_counted(const struct places *places) {
  int64_t step = 1;
  for (int d = TENSOR_RANK_MAX - 1; d >= 0; d--) {
    if (!steps_by(places, d, step)) {
      return false;
    }
    step *= places->shape[d];
  }
  return true;
}

static bool is_turned(const struct places *places) {
  return places->shape[2] == 1 && places->shape[3] == 1 && steps_by(places, 0, 1) &&
         steps_by(places, 1, places->shape[0]);
}

/* Where the values of a strip go: the sums of what dimensions 1 to 3 add, or what 0 does. */
static void fill_places(const struct places *to, bool turned, int64_t *out) {
  for (int64_t b = 0; !turned && b < to->shape[1]; b++) {
    for (int64_t c = 0; c < to->shape[2]; c++) {
      for (int64_t d = 0; d < to->shape[3]; d++) {
        *out++ = to->place[1][b] + to->place[2][c] + to->place[3][d];
      }
    }
  }
  if (turned) {
    memcpy(out, to->place[0], (size_t)to->shape[0] * sizeof *out);
  }
}

/* False when the source lies otherwise, or there is no memory: then values are moved one by one. */
static bool strips_open(const struct places *from, const struct places *to, struct strips *out) {
  bool counted = is_counted(from), turned = !counted && is_turned(from);
  if (!counted && !turned) {
    return false;
  }
  struct strips strips = {
      .count = to->shape[turned ? 1 : 0],
      .length = turned ? to->shape[0] : to->shape[1] * to->shape[2] * to->shape[3],
      .start = to->place[turned ? 1 : 0]};
  strips.place = malloc((size_t)strips.length * sizeof *strips.place);
  if (strips.place == NULL) {
    return false;
  }
  fill_places(to, turned, strips.place);
  *out = strips;
  return true;
}

static void deal(const struct values *to, int64_t start, const int64_t *place, const void *piece,
                 int64_t count) {
  if (element_bytes(to->element) == sizeof(uint16_t)) {
    uint16_t *target = (uint16_t *)to->data + start;
    for (int64_t i = 0; i < count; i++) {
      target[place[i]] = ((const uint16_t *)piece)[i];
    }
    return;
  }
  float *target = (float *)to->data + start;
  for (int64_t i = 0; i < count; i++) {
    target[place[i]] = ((const float *)piece)[i];
  }
}

enum { PIECE = 512, TOGETHER = 64 };

/* Values are converted a piece at a time and then dealt out. */
static void move_piece(const struct cpu *cpu, const struct values *from, const struct values *to,
                       const struct strips *strips, int64_t index, int64_t at) {
  float room[PIECE];
  int64_t count = strips->length - at < PIECE ? strips->length - at : PIECE;
  size_t size = element_bytes(from->element);
  const void *piece = (const char *)from->data + (size_t)(index * strips->length + at) * size;
  if (from->element != to->element) {
    const struct convert arguments = {from->element, to->element, piece, room};
    cpu->bodies->convert(&arguments, 0, count);
    piece = room;
  }
  deal(to, strips->start[index], strips->place + at, piece, count);
}

/* Strips [first, end): what lies side by side in a layout of blocks is of many strips, so a piece
 * of each, while it is in the cache. */
static void move_strips(const struct cpu *cpu, const struct values *from, const struct values *to,
                        const struct strips *strips, int64_t first, int64_t end) {
  for (int64_t at = 0; at < strips->length; at += PIECE) {
    for (int64_t i = first; i < end; i++) {
      move_piece(cpu, from, to, strips, i, at);
    }
  }
}

bool strips_move(const struct cpu *cpu, const struct values *from, const struct values *to) {
  struct strips strips;
  assert(cpu->head.threads > 0);
  if (!strips_open(from->places, to->places, &strips)) {
    return false;
  }
#pragma omp parallel for num_threads(cpu->head.threads) schedule(static)
  for (int64_t i = 0; i < strips.count; i += TOGETHER) {
    move_strips(cpu, from, to, &strips, i,
                i + TOGETHER < strips.count ? i + TOGETHER : strips.count);
    progress_count();
  }
  free(strips.place);
  return true;
}
