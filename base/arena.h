/* arena.h - memory by lifetime: take many pieces, drop them together.
 *
 * Four lifetimes exist: process, model, sample, turn. An arena draws blocks from a source (the C
 * heap by default; a device backend supplies its own, so device memory has arenas too) and never
 * exceeds the maximum given at birth. Not thread safe: an arena belongs to one thread at a time.
 */
#ifndef DARKROOM_BASE_ARENA_H
#define DARKROOM_BASE_ARENA_H

#include <stddef.h>

#include "base/status.h"

struct arena;

/* Where blocks come from. take returns NULL when there is no more; memory is at least 64-byte
 * aligned, not zeroed. */
struct arena_source {
  void *(*take)(void *context, size_t bytes);
  void (*drop)(void *context, void *block, size_t bytes);
  void *context;
};

/* A place in an arena to fall back to. Plain data. */
struct arena_mark {
  size_t block;
  size_t used;
  size_t total;
};

/* Opens an empty arena that will hold at most max bytes. source NULL means the C heap. The caller
 * closes it. */
enum status arena_open(const struct arena_source *source, size_t max, struct arena **out);

/* Gives all memory back and nulls *arena. NULL and pointer to NULL are fine. */
void arena_close(struct arena **arena);

/* bytes of uninitialised memory, 64-byte aligned, valid until release below it, drop or close. NULL
 * only when the maximum or the source is exhausted (then fail() has been called). bytes 0 gives a
 * valid unique pointer. */
void *arena_take(struct arena *arena, size_t bytes);

/* The same, zeroed by the CPU: for heap arenas only. */
void *arena_take_zeroed(struct arena *arena, size_t bytes);

/* A NUL-terminated copy of text[0..length). */
char *arena_copy_text(struct arena *arena, const char *text, size_t length);
/* A copy of a text that may be NULL, which stays NULL. EXHAUSTED. */
enum status arena_keep_text(struct arena *arena, const char *text, const char **out);

/* Remembers the present fill; arena_release forgets all that was taken after the mark (blocks stay
 * for reuse). */
struct arena_mark arena_mark(const struct arena *arena);
void arena_release(struct arena *arena, struct arena_mark mark);

/* Forgets everything taken; blocks stay for reuse. */
void arena_drop(struct arena *arena);

/* Gives back blocks, last first, until no more than keep bytes of unused ones are held. */
void arena_trim(struct arena *arena, size_t keep);

/* Bytes in use now, and the most that were ever in use. */
size_t arena_used(const struct arena *arena);
size_t arena_peak(const struct arena *arena);

#endif
