/* test_shelf.c - rows that are kept, whatever is in them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>
#undef fail /* cmocka has a macro of this name */

#include "worker/engine/shelf.h"

enum { ROWS = 4 };

struct thing {
  struct held held;
  int number;
};

static struct table {
  struct budget budget;
  uint64_t clock;
  int closed, last_closed;
  struct thing rows[ROWS];
  struct shelf shelf;
} table;

static void close_thing(void *context, struct held *row) {
  assert_ptr_equal(context, &table);
  table.closed++;
  table.last_closed = ((struct thing *)row)->number;
}

static int open_table(void **state) {
  (void)state;
  table = (struct table){.budget.max = 1000};
  table.shelf = (struct shelf){
      .budget = &table.budget, .clock = &table.clock, .close = close_thing, .context = &table};
  shelf_rows(&table.shelf, table.rows, sizeof *table.rows, ROWS);
  return 0;
}

static bool is_number(const struct held *row, const void *wanted) {
  return ((const struct thing *)row)->number == *(const int *)wanted;
}
static bool is_odd(const struct held *row, const void *wanted) {
  (void)wanted;
  return ((const struct thing *)row)->number % 2 == 1;
}

static struct held *find(int number) { return shelf_find(&table.shelf, is_number, &number); }

/* Held by one. */
static struct held *make(int number) {
  struct thing *place = (struct thing *)shelf_place(&table.shelf);
  if (place == NULL) {
    return NULL;
  }
  assert_int_equal(place->number, 0); /* zeroed */
  assert_int_equal(budget_take(&table.budget, 10), OK);
  place->held.bytes = 10;
  place->number = number;
  shelf_put(&place->held);
  return shelf_hold(&table.shelf, &place->held);
}

static void what_was_put_is_found(void **state) {
  (void)state;
  assert_null(find(0)); /* free rows are not asked about */
  struct held *one = make(1), *two = make(2);
  assert_ptr_equal(find(1), one);
  assert_ptr_equal(find(2), two);
  assert_null(find(3));
  assert_int_equal(table.budget.used, 20);
}

static void the_longest_unused_goes_and_none_that_is_held(void **state) {
  (void)state;
  struct held *row[ROWS];
  for (int i = 0; i < ROWS; i++) {
    row[i] = make(i + 1);
  }
  assert_null(make(9)); /* all are held */
  assert_null(shelf_oldest(&table.shelf));
  assert_false(shelf_forget_oldest(&table.shelf));
  for (int i = 1; i < ROWS; i++) {
    shelf_let_go(row[i]);
  }
  shelf_let_go(shelf_hold(&table.shelf, row[1])); /* used once more */
  assert_ptr_equal(shelf_oldest(&table.shelf), row[2]);
  assert_non_null(make(5));
  assert_int_equal(table.last_closed, 3);
  assert_null(find(3));
  assert_true(shelf_forget_oldest(&table.shelf));
  assert_int_equal(table.last_closed, 4);
  assert_true(shelf_forget_oldest(&table.shelf));
  assert_int_equal(table.last_closed, 2);
  assert_false(shelf_forget_oldest(&table.shelf)); /* 1 and 5 are held */
  assert_int_equal(table.budget.used, 20);
  assert_int_equal(table.closed, 3);
}

static void two_holders_are_two(void **state) {
  (void)state;
  struct held *row = shelf_hold(&table.shelf, make(1));
  shelf_let_go(row);
  assert_null(shelf_oldest(&table.shelf));
  shelf_let_go(row);
  assert_ptr_equal(shelf_oldest(&table.shelf), row);
}

static void all_of_a_kind_go(void **state) {
  (void)state;
  for (int i = 1; i <= ROWS; i++) {
    shelf_let_go(make(i));
  }
  shelf_forget_all(&table.shelf, is_odd, NULL);
  assert_null(find(1));
  assert_non_null(find(2));
  assert_null(find(3));
  assert_non_null(find(4));
  shelf_forget_all(&table.shelf, shelf_any, NULL);
  assert_int_equal(table.closed, ROWS);
  assert_int_equal(table.budget.used, 0);
}

/* What failed half way is closed, and its bytes go back. */
static void one_that_was_never_whole_goes_too(void **state) {
  (void)state;
  struct thing *place = (struct thing *)shelf_place(&table.shelf);
  assert_int_equal(budget_take(&table.budget, 30), OK);
  place->held.bytes = 30;
  place->number = 7;
  assert_null(find(7));
  shelf_forget(&table.shelf, &place->held);
  assert_int_equal(table.last_closed, 7);
  assert_int_equal(table.budget.used, 0);
  assert_ptr_equal(shelf_place(&table.shelf), place);
}

int main(void) {
#define WITH(f) cmocka_unit_test_setup(f, open_table)
  const struct CMUnitTest tests[] = {
      WITH(what_was_put_is_found),
      WITH(the_longest_unused_goes_and_none_that_is_held),
      WITH(two_holders_are_two),
      WITH(all_of_a_kind_go),
      WITH(one_that_was_never_whole_goes_too),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
