/* shelf.h - rows of things that can be made again: found, shared, counted, kept while there is room
 * for them, the longest unused out. Private to this folder.
 *
 * A shelf has a fixed number of rows, structs of its owner's that begin with a struct held. It is
 * searched from end to end: what a row saves is worth thousands of scans.
 */
#ifndef DARKROOM_WORKER_ENGINE_SHELF_H
#define DARKROOM_WORKER_ENGINE_SHELF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "worker/engine/budget.h"

/* How a row stands. */
struct held {
  bool taken;   /* false: a free row */
  int holders;  /* who use it now: it stays as long as there are any */
  size_t bytes; /* of the budget, given back with it */
  uint64_t last_used;
};

struct shelf {
  void *rows; /* the first one: its struct held */
  size_t row_bytes;
  int count;
  struct budget *budget;
  uint64_t *clock; /* counts uses; shelves with one clock can be compared */
  /* Closes what is in a row that goes, taken or half made. The rest is done here. */
  void (*close)(void *context, struct held *row);
  void *context;
};
/* Its rows: an array of so many structs. */
void shelf_rows(struct shelf *shelf, void *rows, size_t row_bytes, int count);

/* Whether a row is what is looked for. Only taken ones are asked about. */
typedef bool (*shelf_match)(const struct held *row, const void *wanted);

/* NULL: there is none. */
struct held *shelf_find(const struct shelf *shelf, shelf_match matches, const void *wanted);
/* The longest unused of those that nobody holds; NULL: there is none. */
struct held *shelf_oldest(const struct shelf *shelf);
/* A free row, zeroed; when there is none the oldest goes. NULL: all are held. It is free until the
 * caller takes it: shelf_put, or shelf_forget of what is half made. */
struct held *shelf_place(struct shelf *shelf);

/* The row is whole. */
void shelf_put(struct held *row);
/* One more holder, who uses it now; gives it. */
struct held *shelf_hold(const struct shelf *shelf, struct held *row);
/* One holder less. */
void shelf_let_go(struct held *row);

/* Closes a row that nobody holds, gives back its bytes and frees it. */
void shelf_forget(struct shelf *shelf, struct held *row);
/* The oldest; false when there is none. For conditionings_ask_also. */
bool shelf_forget_oldest(void *shelf);
/* All that match; nobody holds them. */
void shelf_forget_all(struct shelf *shelf, shelf_match matches, const void *wanted);
/* Any row matches. */
bool shelf_any(const struct held *row, const void *wanted);

#endif
