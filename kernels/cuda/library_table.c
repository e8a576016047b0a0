/* library_table.c - what was decided about each problem, found by its numbers. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/cuda/library_inside.h"

/* A model has some hundred problems, times the numbers of images that come: beyond this something
 * asks for a new problem each time, and a plan may hold a megabyte. */
#define LIBRARY_ENTRIES_MAX 8192
enum { SLOTS_FIRST = 256 };

/* FNV-1a over 64-bit values (Fowler, Noll, Vo), the high bits folded in. */
static size_t hash(const struct library_key *key) {
  uint64_t sum = 0xcbf29ce484222325u;
  for (int i = 0; i < LIBRARY_KEY_MAX; i++) {
    sum = (sum ^ (uint64_t)key->value[i]) * 0x100000001b3u;
  }
  sum = (sum ^ (uint64_t)key->images) * 0x100000001b3u;
  return (size_t)(sum ^ (sum >> 32));
}

static struct library_entry **place(struct library_entry **slot, size_t slots,
                                    const struct library_key *key) {
  size_t at = hash(key) & (slots - 1);
  while (slot[at] != NULL && memcmp(&slot[at]->key, key, sizeof *key) != 0) {
    at = (at + 1) & (slots - 1);
  }
  return &slot[at];
}

/* At most half of the slots are taken. */
static enum status make_room(struct library_table *table) {
  if (table->count * 2 < table->slots) {
    return OK;
  }
  size_t slots = table->slots == 0 ? SLOTS_FIRST : table->slots * 2;
  struct library_entry **slot = calloc(slots, sizeof *slot);
  if (slot == NULL) {
    return fail(EXHAUSTED, "no memory for the plans of a GPU's libraries");
  }
  for (size_t i = 0; i < table->slots; i++) {
    if (table->slot[i] != NULL) {
      *place(slot, slots, &table->slot[i]->key) = table->slot[i];
    }
  }
  free(table->slot);
  table->slot = slot;
  table->slots = slots;
  return OK;
}

enum status library_entry(struct library *library, const struct library_key *key,
                          struct library_entry **out) {
  struct library_table *table = &library->table;
  TRY(make_room(table));
  struct library_entry **at = place(table->slot, table->slots, key);
  if (*at == NULL) {
    if (table->count == LIBRARY_ENTRIES_MAX) {
      return fail(EXHAUSTED, "a GPU's libraries hold plans for %d problems: no more are made",
                  LIBRARY_ENTRIES_MAX);
    }
    struct library_entry *entry = calloc(1, sizeof *entry);
    if (entry == NULL) {
      return fail(EXHAUSTED, "no memory for the plans of a GPU's libraries");
    }
    entry->key = *key;
    *at = entry;
    table->count++;
  }
  *out = *at;
  return OK;
}

enum status library_keep(struct library_entry *entry, const void *made, size_t bytes,
                         void (*close)(struct library *library, void *made)) {
  void *copy = malloc(bytes);
  if (copy == NULL) {
    return fail(EXHAUSTED, "no memory for the plans of a GPU's libraries");
  }
  memcpy(copy, made, bytes);
  entry->made = copy;
  entry->close = close;
  return OK;
}

void library_forget(struct library *library, struct library_entry *entry) {
  if (entry->made != NULL) {
    entry->close(library, entry->made);
  }
  entry->made = NULL;
  entry->refused = false;
}

void library_table_close(struct library *library) {
  struct library_table *table = &library->table;
  for (size_t i = 0; i < table->slots; i++) {
    if (table->slot[i] != NULL) {
      library_forget(library, table->slot[i]);
    }
    free(table->slot[i]);
  }
  free(table->slot);
  *table = (struct library_table){0};
}
