/* hashed_weights.h - weights of any shape without files: takes the place of worker/model/weights.c
 * in a program that includes it (a program's own functions win over a library's). Values follow
 * from names by the hash of models/fixtures.py, so that tests/model/make_goldens.py has the same.
 */
#ifndef DARKROOM_TESTS_UNIT_MODEL_HASHED_WEIGHTS_H
#define DARKROOM_TESTS_UNIT_MODEL_HASHED_WEIGHTS_H

#include <assert.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "worker/model/weight_files.h"
#include "worker/model/weights.h"

struct weights {
  struct arena *arena;
  char component[32]; /* "unet": the folder that the file would lie in */
};

static uint64_t fnv(uint64_t hash, const char *text) {
  for (; *text != '\0'; text++) {
    hash = (hash ^ (uint8_t)*text) * 0x100000001b3u;
  }
  return hash;
}

/* A multiple of 2^-23 in [-1, 1). */
static double uniform(uint64_t start, int64_t i) {
  uint64_t x = start + (uint64_t)i + 0x9e3779b97f4a7c15u;
  x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9u;
  x = (x ^ x >> 27) * 0x94d049bb133111ebu;
  return (double)((x ^ x >> 31) >> 40) / 8388608.0 - 1;
}

enum status weights_take(struct weights *weights, const char *name, int rank, const int64_t *shape,
                         struct tensor *out) {
  TRY(tensor_take(weights->arena, ELEMENT_F32, rank, shape, out));
  uint64_t start = fnv(fnv(fnv(0xcbf29ce484222325u, weights->component), "/"), name);
  bool gamma = strlen(name) > 7 && strcmp(name + strlen(name) - 7, ".weight") == 0;
  double scale = rank > 1 ? 1 / sqrt((double)(tensor_count(out) / shape[0])) : 0.1;
  for (int64_t i = 0; i < tensor_count(out); i++) {
    double u = uniform(start, i);
    ((float *)out->data)[i] = (float)(rank > 1 ? u * scale : gamma ? 1 + 0.1 * u : 0.1 * u);
  }
  return OK;
}

/* 1x1 convolutions are asked for as matrices: the values are the same. */
int weights_rank(const struct weights *weights, const char *name) {
  (void)weights;
  (void)name;
  return 2;
}

bool weights_has(const struct weights *weights, const char *name) {
  (void)weights;
  return strncmp(name, "text_model.", strlen("text_model.")) == 0;
}

enum status weights_open_network(struct checkpoint *checkpoint, enum network network,
                                 struct weights **out) {
  (void)checkpoint;
  struct weights *weights = calloc(1, sizeof *weights);
  assert(weights != NULL);
  snprintf(weights->component, sizeof weights->component, "%s", network_names[network]);
  TRY(arena_open(NULL, (size_t)1 << 30, &weights->arena));
  *out = weights;
  return OK;
}
void weights_close(struct weights **weights) {
  arena_close(&(*weights)->arena);
  free(*weights);
  *weights = NULL;
}
/* Of a folder the configs say all sides. */
int64_t weights_side(const struct weights *weights, const char *name, int axis) {
  (void)weights;
  (void)name;
  (void)axis;
  return 0;
}
void weights_give_back(struct weights *weights) { (void)weights; }
void weights_skip(struct weights *weights, const char *prefix) {
  (void)weights;
  (void)prefix;
}
enum status weights_all_used(const struct weights *weights) {
  (void)weights;
  return OK;
}

#endif
