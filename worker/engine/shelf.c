/* shelf.c - a small table, whatever its rows are. */
#include "worker/engine/shelf.h"

#include <assert.h>
#include <string.h>

static struct held *row_at(const struct shelf *shelf, int i) {
  return (struct held *)(void *)((char *)shelf->rows + (size_t)i * shelf->row_bytes);
}

void shelf_rows(struct shelf *shelf, void *rows, size_t row_bytes, int count) {
  shelf->rows = rows;
  shelf->row_bytes = row_bytes;
  shelf->count = count;
}

struct held *shelf_find(const struct shelf *shelf, shelf_match matches, const void *wanted) {
  for (int i = 0; i < shelf->count; i++) {
    struct held *row = row_at(shelf, i);
    if (row->taken && matches(row, wanted)) {
      return row;
    }
  }
  return NULL;
}

struct held *shelf_oldest(const struct shelf *shelf) {
  struct held *oldest = NULL;
  for (int i = 0; i < shelf->count; i++) {
    struct held *row = row_at(shelf, i);
    bool idle = row->taken && row->holders == 0;
    oldest = idle && (oldest == NULL || row->last_used < oldest->last_used) ? row : oldest;
  }
  return oldest;
}

static struct held *find_free(const struct shelf *shelf) {
  for (int i = 0; i < shelf->count; i++) {
    if (!row_at(shelf, i)->taken) {
      return row_at(shelf, i);
    }
  }
  return NULL;
}

struct held *shelf_place(struct shelf *shelf) {
  struct held *place = find_free(shelf);
  return place != NULL || !shelf_forget_oldest(shelf) ? place : find_free(shelf);
}

void shelf_put(struct held *row) {
  assert(!row->taken);
  row->taken = true;
}

struct held *shelf_hold(const struct shelf *shelf, struct held *row) {
  assert(row->taken);
  row->holders++;
  row->last_used = ++*shelf->clock;
  return row;
}

void shelf_let_go(struct held *row) {
  assert(row->holders > 0);
  row->holders--;
}

void shelf_forget(struct shelf *shelf, struct held *row) {
  assert(row->holders == 0);
  shelf->close(shelf->context, row);
  budget_give(shelf->budget, row->bytes);
  memset(row, 0, shelf->row_bytes);
}

bool shelf_forget_oldest(void *context) {
  struct shelf *shelf = context;
  struct held *oldest = shelf_oldest(shelf);
  if (oldest != NULL) {
    shelf_forget(shelf, oldest);
  }
  return oldest != NULL;
}

void shelf_forget_all(struct shelf *shelf, shelf_match matches, const void *wanted) {
  for (int i = 0; i < shelf->count; i++) {
    struct held *row = row_at(shelf, i);
    if (row->taken && matches(row, wanted)) {
      shelf_forget(shelf, row);
    }
  }
}

bool shelf_any(const struct held *row, const void *wanted) {
  (void)row, (void)wanted;
  return true;
}
