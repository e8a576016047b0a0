/* bucket.h - what rows must have in common to share one U-Net call, as a value: filled once for a
 * row of a plan, compared whole, printed whole. Whatever decides which calls are made, on which
 * shapes and with which weights, is a field here; what a row brings along (timestep, prompt, noise,
 * guidance, sampler) is not. */
#ifndef DARKROOM_WORKER_ENGINE_BUCKET_H
#define DARKROOM_WORKER_ENGINE_BUCKET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "worker/engine/stage.h"

struct bucket {
  const struct resident *resident;
  uint64_t merged;       /* whose weights stand in place of the model's (adapters); 0: its own */
  int32_t height, width; /* cells */
  int32_t planes;        /* channels behind the latents' */
  int32_t control_count; /* nets that are on in this row, */
  const struct net *control[CONTROLS_MAX]; /* in the order of their numbers */
};
_Static_assert(sizeof(struct bucket) == 32 + CONTROLS_MAX * sizeof(void *),
               "no holes: it is compared byte by byte");

/* The bucket of one row of a stage's plan. */
void bucket_fill(const struct stage *stage, int row, struct bucket *out);
bool bucket_same(const struct bucket *a, const struct bucket *b);

#define BUCKET_TEXT_BYTES_MAX 256
/* For logs: "sd15 64x64". Gives text. */
const char *bucket_print(const struct bucket *bucket, char text[BUCKET_TEXT_BYTES_MAX]);
/* A number that tells buckets apart, for the keys of kept sequences. */
uint64_t bucket_number(const struct bucket *bucket);

#endif
