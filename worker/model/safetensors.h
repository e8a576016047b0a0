/* safetensors.h - the table of tensors at the head of a safetensors file, checked before anything
 * is believed.
 *
 * A file is: header length (u64, little endian), header (JSON), data. Nothing else may follow, and
 * the tensors must tile the data exactly, no hole, no overlap, no rest: what stands in a gap, or
 * behind the end, could be a second file that another reader believes. What the reference
 * implementation (safetensors 0.8) takes is taken, within limits.h, but for names that stand there
 * twice and a few oddities that models/safetensors_compare.py lists and compares.
 */
#ifndef DARKROOM_WORKER_MODEL_SAFETENSORS_H
#define DARKROOM_WORKER_MODEL_SAFETENSORS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/limits.h"
#include "base/status.h"

/* An element type as the file names it; only those that we compute with have an `element`. */
struct safetensors_type {
  const char *name; /* "F32" */
  int bits;         /* of one element: a few kinds have less than a byte */
  int element;      /* enum element, or -1 */
};

struct safetensors_entry {
  const char *name;
  const struct safetensors_type *type;
  int rank;
  int64_t shape[SAFETENSORS_RANK_MAX];
  uint64_t begin, end; /* within the data */
};

struct safetensors {
  size_t count;
  struct safetensors_entry *entry; /* sorted by name */
  const uint8_t *data;             /* where the tensors' bytes start */
  size_t data_bytes;
};

/* Reads the table of a whole file in memory; names and entries are taken from the arena, data is
 * borrowed. BAD_INPUT (field "weights") says which rule is broken. `name` is for messages. */
enum status safetensors_read(const char *name, const uint8_t *file, size_t bytes,
                             struct arena *arena, struct safetensors *out);

/* The entry of that name, or NULL. */
const struct safetensors_entry *safetensors_find(const struct safetensors *table, const char *name);

#endif
