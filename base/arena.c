/* arena.c - blocks in an array; the last block in use is bumped, later ones wait for reuse. */
#include "base/arena.h"

#include <assert.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/limits.h"

enum { ALIGNMENT = 64, BLOCKS_MAX = ARENA_BLOCKS_MAX };
#define BLOCK_BYTES_MIN ((size_t)64 * 1024)

struct block {
  char *memory;
  size_t bytes;
};

struct arena {
  struct arena_source source;
  size_t max;
  size_t total; /* bytes taken by callers, alignment included */
  size_t peak;
  size_t block; /* index of the block being bumped */
  size_t used;  /* bytes used of that block */
  size_t block_count;
  struct block blocks[BLOCKS_MAX];
};

static void *heap_take(void *context, size_t bytes) {
  (void)context;
  return aligned_alloc(ALIGNMENT, bytes);
}

static void heap_drop(void *context, void *block, size_t bytes) {
  (void)context;
  (void)bytes;
  free(block);
}

enum status arena_open(const struct arena_source *source, size_t max, struct arena **out) {
  struct arena *arena = calloc(1, sizeof *arena);
  if (arena == NULL) {
    return fail(EXHAUSTED, "no memory for an arena");
  }
  static const struct arena_source heap = {heap_take, heap_drop, NULL};
  arena->source = source != NULL ? *source : heap;
  arena->max = max;
  *out = arena;
  return OK;
}

void arena_close(struct arena **pointer) {
  if (pointer == NULL || *pointer == NULL) {
    return;
  }
  struct arena *arena = *pointer;
  for (size_t i = 0; i < arena->block_count; i++) {
    arena->source.drop(arena->source.context, arena->blocks[i].memory, arena->blocks[i].bytes);
  }
  free(arena);
  *pointer = NULL;
}

static size_t round_up(size_t bytes) { return (bytes + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT; }

/* Replaces an unused waiting block that is too small, or appends: block sizes double so that few
 * are needed. */
static bool grow(struct arena *arena, size_t index, size_t bytes) {
  if (index >= BLOCKS_MAX) {
    return false;
  }
  size_t want = BLOCK_BYTES_MIN;
  if (index > 0 && arena->blocks[index - 1].bytes * 2 > want) {
    want = arena->blocks[index - 1].bytes * 2;
  }
  if (want > arena->max) {
    want = round_up(arena->max);
  }
  if (want < bytes) {
    want = bytes;
  }
  char *memory = arena->source.take(arena->source.context, want);
  if (memory == NULL && want > bytes) {
    want = bytes;
    memory = arena->source.take(arena->source.context, want);
  }
  if (memory == NULL) {
    return false;
  }
  if (index < arena->block_count) {
    arena->source.drop(arena->source.context, arena->blocks[index].memory,
                       arena->blocks[index].bytes);
  } else {
    arena->block_count = index + 1;
  }
  arena->blocks[index] = (struct block){memory, want};
  return true;
}

/* Finds the block that has room for bytes, moving on to the next block when the present one is
 * full. */
static bool make_room(struct arena *arena, size_t bytes) {
  if (arena->block_count > 0 && arena->used + bytes <= arena->blocks[arena->block].bytes) {
    return true;
  }
  size_t next = arena->block_count == 0 || arena->used == 0 ? arena->block : arena->block + 1;
  bool fits = next < arena->block_count && arena->blocks[next].bytes >= bytes;
  if (!fits && !grow(arena, next, bytes)) {
    return false;
  }
  arena->block = next;
  arena->used = 0;
  return true;
}

void *arena_take(struct arena *arena, size_t bytes) {
  if (bytes > arena->max || round_up(bytes == 0 ? 1 : bytes) > arena->max - arena->total) {
    fail(EXHAUSTED, "arena full: %zu bytes wanted, %zu of %zu in use", bytes, arena->total,
         arena->max);
    return NULL;
  }
  size_t rounded = round_up(bytes == 0 ? 1 : bytes);
  if (!make_room(arena, rounded)) {
    fail(EXHAUSTED, "no memory: %zu bytes wanted, %zu in use", bytes, arena->total);
    return NULL;
  }
  void *piece = arena->blocks[arena->block].memory + arena->used;
  arena->used += rounded;
  arena->total += rounded;
  if (arena->total > arena->peak) {
    arena->peak = arena->total;
  }
  return piece;
}

void *arena_take_zeroed(struct arena *arena, size_t bytes) {
  void *piece = arena_take(arena, bytes);
  if (piece != NULL) {
    memset(piece, 0, bytes);
  }
  return piece;
}

char *arena_copy_text(struct arena *arena, const char *text, size_t length) {
  char *copy = length < SIZE_MAX ? arena_take(arena, length + 1) : NULL;
  if (copy != NULL) {
    memcpy(copy, text, length);
    copy[length] = '\0';
  }
  return copy;
}

enum status arena_keep_text(struct arena *arena, const char *text, const char **out) {
  const char *copy = text != NULL ? arena_copy_text(arena, text, strlen(text)) : NULL;
  if (text != NULL && copy == NULL) {
    return EXHAUSTED;
  }
  *out = copy;
  return OK;
}

struct arena_mark arena_mark(const struct arena *arena) {
  return (struct arena_mark){arena->block, arena->used, arena->total};
}

void arena_release(struct arena *arena, struct arena_mark mark) {
  assert(mark.total <= arena->total);
  arena->block = mark.block;
  arena->used = mark.used;
  arena->total = mark.total;
}

void arena_drop(struct arena *arena) { arena_release(arena, (struct arena_mark){0, 0, 0}); }

/* The block being bumped and those before it are in use; all behind it wait for reuse. */
void arena_trim(struct arena *arena, size_t keep) {
  size_t first = arena->total == 0 ? 0 : arena->block + 1, held = 0;
  while (first < arena->block_count && held + arena->blocks[first].bytes <= keep) {
    held += arena->blocks[first++].bytes;
  }
  for (; arena->block_count > first; arena->block_count--) {
    struct block *last = &arena->blocks[arena->block_count - 1];
    arena->source.drop(arena->source.context, last->memory, last->bytes);
  }
}

size_t arena_used(const struct arena *arena) { return arena->total; }

size_t arena_peak(const struct arena *arena) { return arena->peak; }
