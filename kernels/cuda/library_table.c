/* library_table.c - what was decided about each problem, found by its numbers. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/cuda/library_inside.h"

/* A model has 60 problems a shape of picture, times the numbers of images that come; an entry is
 * 80 kB (measured: 597 plans of convolutions 49 MB, 102 of attention 57 MB). What a turn may add
 * fits between the two. */
#define LIBRARY_ENTRIES_MAX 4096
#define LIBRARY_ENTRIES_FULL 3072
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

void library_entry_clear(struct library *library, struct library_entry *entry) {
  if (entry->made != NULL) {
    entry->close(library, entry->made);
  }
  entry->made = NULL;
  entry->refused = false;
}

bool library_is_full(const struct library *library) {
  return library->table.count >= LIBRARY_ENTRIES_FULL;
}

/* But for kernels that were compiled for any shape: few, and a second each. */
void library_forget(struct library *library) {
  struct library_table old = library->table;
  library->table = (struct library_table){0};
  for (size_t i = 0; i < old.slots; i++) {
    struct library_entry *entry = old.slot[i];
    if (entry != NULL && entry->key.value[0] == LIBRARY_KERNELS &&
        make_room(&library->table) == OK) {
      *place(library->table.slot, library->table.slots, &entry->key) = entry;
      library->table.count++;
    } else if (entry != NULL) {
      library_entry_clear(library, entry);
      free(entry);
    }
  }
  free(old.slot);
}

void library_table_close(struct library *library) {
  struct library_table *table = &library->table;
  for (size_t i = 0; i < table->slots; i++) {
    if (table->slot[i] != NULL) {
      library_entry_clear(library, table->slot[i]);
    }
    free(table->slot[i]);
  }
  free(table->slot);
  *table = (struct library_table){0};
}
