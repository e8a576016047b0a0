/* test_arena.c - taking, marks, maximums, and other sources of memory. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#undef fail /* cmocka has a macro of this name */

#include "base/arena.h"

static struct arena *open_arena(size_t max) {
  struct arena *arena = NULL;
  assert_int_equal(arena_open(NULL, max, &arena), OK);
  return arena;
}

static void test_pieces_are_aligned_and_apart(void **state) {
  (void)state;
  struct arena *arena = open_arena(1 << 20);
  char *last = NULL;
  for (size_t bytes = 0; bytes < 300; bytes++) {
    char *piece = arena_take(arena, bytes);
    assert_non_null(piece);
    assert_int_equal((uintptr_t)piece % 64, 0);
    assert_ptr_not_equal(piece, last);
    memset(piece, 0xaa, bytes);
    last = piece;
  }
  arena_close(&arena);
  assert_null(arena);
  arena_close(&arena);
}

static void test_maximum(void **state) {
  (void)state;
  struct arena *arena = open_arena(1024);
  assert_non_null(arena_take(arena, 1000));
  assert_null(arena_take(arena, 64));
  assert_null(arena_take(arena, SIZE_MAX));
  assert_null(arena_take(arena, SIZE_MAX - 10));
  arena_drop(arena);
  assert_non_null(arena_take(arena, 1024));
  arena_close(&arena);
  arena = open_arena(1000); /* what alignment adds counts, too */
  assert_null(arena_take(arena, 1000));
  assert_non_null(arena_take(arena, 960));
  arena_close(&arena);
}

static void test_mark_and_release_reuse_memory(void **state) {
  (void)state;
  struct arena *arena = open_arena(64 << 20);
  arena_take(arena, 100);
  struct arena_mark mark = arena_mark(arena);
  size_t used = arena_used(arena);
  for (int round = 0; round < 100; round++) {
    for (int i = 0; i < 10; i++) {
      char *piece = arena_take(arena, (size_t)50000 * (size_t)(1 + i));
      assert_non_null(piece);
      piece[0] = 1;
    }
    arena_release(arena, mark);
    assert_int_equal(arena_used(arena), used);
  }
  assert_true(arena_peak(arena) < (size_t)4 << 20);
  arena_close(&arena);
}

static void test_zeroed_after_reuse(void **state) {
  (void)state;
  struct arena *arena = open_arena(1 << 16);
  memset(arena_take(arena, 4096), 0xff, 4096);
  arena_drop(arena);
  const char *piece = arena_take_zeroed(arena, 4096);
  for (int i = 0; i < 4096; i++) {
    assert_int_equal(piece[i], 0);
  }
  assert_string_equal(arena_copy_text(arena, "latent image", 6), "latent");
  arena_close(&arena);
}

struct counted {
  int taken;
  int dropped;
  int allowed;
};

static void *take(void *context, size_t bytes) {
  struct counted *counted = context;
  if (counted->taken >= counted->allowed) {
    return NULL;
  }
  counted->taken++;
  return aligned_alloc(64, bytes);
}

static void drop(void *context, void *block, size_t bytes) {
  struct counted *counted = context;
  (void)bytes;
  counted->dropped++;
  free(block);
}

static void test_own_source(void **state) {
  (void)state;
  struct counted counted = {.allowed = 2};
  struct arena_source source = {take, drop, &counted};
  struct arena *arena = NULL;
  assert_int_equal(arena_open(&source, SIZE_MAX / 2, &arena), OK);
  assert_non_null(arena_take(arena, 64 << 10));
  assert_non_null(arena_take(arena, 1 << 20));
  assert_null(arena_take(arena, 8 << 20));
  arena_drop(arena);
  assert_non_null(arena_take(arena, 0));
  arena_close(&arena);
  assert_int_equal(counted.dropped, counted.taken);
}

/* Blocks behind the one in use go, the last first, down to what is to be kept. */
static void test_trim_gives_back_what_waits(void **state) {
  (void)state;
  struct arena *arena = NULL;
  assert_int_equal(arena_open(NULL, (size_t)64 << 20, &arena), OK);
  char *first = arena_take(arena, 100);
  memset(first, 7, 100);
  struct arena_mark mark = arena_mark(arena);
  for (int i = 0; i < 64; i++) {
    assert_non_null(arena_take(arena, 128 * 1024));
  }
  arena_trim(arena, 0); /* nothing waits: nothing goes */
  arena_release(arena, mark);
  arena_trim(arena, 1 << 20);
  arena_trim(arena, 0);
  assert_int_equal(first[99], 7);
  assert_non_null(arena_take(arena, 8 << 20));
  arena_drop(arena);
  arena_trim(arena, 0);
  assert_int_equal(arena_used(arena), 0);
  assert_non_null(arena_take(arena, 1000));
  arena_close(&arena);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_pieces_are_aligned_and_apart),
      cmocka_unit_test(test_maximum),
      cmocka_unit_test(test_mark_and_release_reuse_memory),
      cmocka_unit_test(test_zeroed_after_reuse),
      cmocka_unit_test(test_own_source),
      cmocka_unit_test(test_trim_gives_back_what_waits),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
