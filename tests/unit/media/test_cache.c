/* test_cache.c - files by hash: lent, given back, and gone in the order of their last use. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>
#undef fail /* cmocka has a macro of this name */

#include "worker/media/cache.h"

enum { FILE_BYTES = 100 };

static const struct cached *keep(struct cache *cache, const char *name) {
  char text[FILE_BYTES + 1];
  struct bytes content;
  const struct cached *cached = NULL;
  memset(text, name[0], FILE_BYTES);
  bytes_open(&content, 4096);
  assert_int_equal(bytes_append(&content, text, FILE_BYTES), OK);
  assert_int_equal(cache_keep(cache, name, &content, &cached), OK);
  assert_int_equal(content.length, 0);
  assert_int_equal(cached->content.data[0], name[0]);
  return cached;
}

static void what_is_kept_is_found(void **state) {
  (void)state;
  struct cache *cache = NULL;
  assert_int_equal(cache_open(10 * FILE_BYTES, &cache), OK);
  assert_null(cache_find(cache, "a"));
  const struct cached *first = keep(cache, "a");
  const struct cached *again = cache_find(cache, "a");
  assert_ptr_equal(first, again);
  assert_ptr_equal(keep(cache, "a"), first); /* two have fetched the same */
  for (int i = 0; i < 3; i++) {
    cache_give_back(cache, first);
  }
  cache_give_back(cache, NULL);
  cache_close(&cache);
}

static void small_files_are_not_kept_without_end(void **state) {
  (void)state;
  struct cache *cache = NULL;
  char name[16];
  assert_int_equal(cache_open((size_t)1 << 30, &cache), OK);
  for (int i = 0; i < CACHE_FILES_MAX + 2; i++) {
    snprintf(name, sizeof name, "f%d", i);
    cache_give_back(cache, keep(cache, name));
  }
  assert_null(cache_find(cache, "f0"));
  assert_null(cache_find(cache, "f1"));
  const struct cached *third = cache_find(cache, "f2");
  assert_non_null(third);
  cache_give_back(cache, third);
  cache_close(&cache);
}

static void the_oldest_goes_first_and_none_that_is_lent(void **state) {
  (void)state;
  struct cache *cache = NULL;
  assert_int_equal(cache_open(2 * FILE_BYTES, &cache), OK);
  const struct cached *lent = keep(cache, "lent");
  cache_give_back(cache, keep(cache, "a"));
  cache_give_back(cache, keep(cache, "b"));
  cache_give_back(cache, cache_find(cache, "a")); /* used again: now b is the oldest */
  cache_give_back(cache, keep(cache, "c"));
  assert_null(cache_find(cache, "b"));
  const struct cached *a = cache_find(cache, "a");
  const struct cached *c = cache_find(cache, "c");
  assert_true(a != NULL && c != NULL && lent->content.data[0] == 'l');
  cache_give_back(cache, a);
  cache_give_back(cache, c);
  cache_give_back(cache,
                  lent); /* the newest use is a's or c's: one of three must go, the lent one */
  assert_null(cache_find(cache, "lent"));
  cache_close(&cache);
}

static void a_limit_of_nothing_keeps_nothing(void **state) {
  (void)state;
  struct cache *cache = NULL;
  assert_int_equal(cache_open(0, &cache), OK);
  const struct cached *lent = keep(cache, "a");
  assert_ptr_equal(cache_find(cache, "a"), lent);
  cache_give_back(cache, lent);
  cache_give_back(cache, lent);
  assert_null(cache_find(cache, "a"));
  cache_close(&cache);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(what_is_kept_is_found),
      cmocka_unit_test(small_files_are_not_kept_without_end),
      cmocka_unit_test(the_oldest_goes_first_and_none_that_is_lent),
      cmocka_unit_test(a_limit_of_nothing_keeps_nothing),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
