/* pool.c - gaps in the order of their places. */
#include "kernels/cuda/pool.h"

#include <assert.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

struct gap {
  size_t offset, bytes;
};

/* There is at most one gap more than pieces, and room for that many is found when a piece is taken:
 * so giving back needs no memory. */
struct pool {
  struct gap *gaps;
  size_t count, room;
  size_t pieces;
};

static size_t whole(size_t bytes) {
  bytes = bytes == 0 ? 1 : bytes;
  return (bytes + POOL_ALIGNMENT - 1) / POOL_ALIGNMENT * POOL_ALIGNMENT;
}

enum status pool_open(size_t bytes, struct pool **out) {
  enum { ROOM = 64 };
  struct pool *pool = calloc(1, sizeof *pool);
  struct gap *gaps = calloc(ROOM, sizeof *gaps);
  if (pool == NULL || gaps == NULL) {
    free(pool);
    free(gaps);
    return fail(EXHAUSTED, "no memory to keep a device's memory by");
  }
  pool->gaps = gaps;
  pool->room = ROOM;
  pool->gaps[0] = (struct gap){0, bytes / POOL_ALIGNMENT * POOL_ALIGNMENT};
  pool->count = 1;
  *out = pool;
  return OK;
}

void pool_close(struct pool **pool) {
  if (pool == NULL || *pool == NULL) {
    return;
  }
  free((*pool)->gaps);
  free(*pool);
  *pool = NULL;
}

static enum status make_room(struct pool *pool) {
  if (pool->pieces + 2 <= pool->room) {
    return OK;
  }
  struct gap *gaps = realloc(pool->gaps, 2 * pool->room * sizeof *gaps);
  if (gaps == NULL) {
    return fail(EXHAUSTED, "no memory to keep a device's memory by");
  }
  pool->gaps = gaps;
  pool->room *= 2;
  return OK;
}

static void remove_gap(struct pool *pool, size_t i) {
  memmove(pool->gaps + i, pool->gaps + i + 1, (pool->count - i - 1) * sizeof *pool->gaps);
  pool->count--;
}

enum status pool_take(struct pool *pool, size_t bytes, size_t *offset) {
  TRY(make_room(pool));
  size_t i = 0;
  while (i < pool->count && pool->gaps[i].bytes < bytes) {
    i++;
  }
  if (i == pool->count || pool->gaps[i].bytes == 0) {
    return fail(EXHAUSTED, "%zu bytes wanted, %zu left, %zu in one piece", bytes, pool_left(pool),
                pool_largest(pool));
  }
  struct gap *gap = &pool->gaps[i]; /* gaps are whole, so what fits, fits rounded up */
  *offset = gap->offset;
  gap->offset += whole(bytes);
  gap->bytes -= whole(bytes);
  if (gap->bytes == 0) {
    remove_gap(pool, i);
  }
  pool->pieces++;
  return OK;
}

static void insert_gap(struct pool *pool, size_t i, struct gap gap) {
  assert(pool->count < pool->room);
  memmove(pool->gaps + i + 1, pool->gaps + i, (pool->count - i) * sizeof *pool->gaps);
  pool->gaps[i] = gap;
  pool->count++;
}

void pool_drop(struct pool *pool, size_t offset, size_t bytes) {
  struct gap gap = {offset, whole(bytes)};
  size_t i = 0;
  while (i < pool->count && pool->gaps[i].offset < offset) {
    i++;
  }
  struct gap *before = i > 0 ? &pool->gaps[i - 1] : NULL;
  struct gap *behind = i < pool->count ? &pool->gaps[i] : NULL;
  assert(before == NULL || before->offset + before->bytes <= offset); /* given back twice */
  assert(behind == NULL || offset + gap.bytes <= behind->offset);
  assert(pool->pieces > 0);
  pool->pieces--;
  bool joins_before = before != NULL && before->offset + before->bytes == offset;
  bool joins_behind = behind != NULL && offset + gap.bytes == behind->offset;
  if (joins_before) {
    before->bytes += gap.bytes + (joins_behind ? behind->bytes : 0);
    if (joins_behind) {
      remove_gap(pool, i);
    }
  } else if (joins_behind) {
    *behind = (struct gap){offset, gap.bytes + behind->bytes};
  } else {
    insert_gap(pool, i, gap);
  }
}

size_t pool_left(const struct pool *pool) {
  size_t left = 0;
  for (size_t i = 0; i < pool->count; i++) {
    left += pool->gaps[i].bytes;
  }
  return left;
}

size_t pool_largest(const struct pool *pool) {
  size_t largest = 0;
  for (size_t i = 0; i < pool->count; i++) {
    largest = pool->gaps[i].bytes > largest ? pool->gaps[i].bytes : largest;
  }
  return largest;
}
