/* modules.c - a growing list, and an index of it by address. */
#include "worker/model/modules.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#define FIRST_ROOM 256

struct place {
  uintptr_t held;
  int index;
};

struct module_list {
  struct arena *arena;
  struct module *module;
  size_t count, room;
  struct place *place; /* sorted by address; NULL: not sealed */
  size_t places;
};

enum status modules_open(struct arena *arena, struct module_list **out) {
  struct module_list *modules = arena_take_zeroed(arena, sizeof *modules);
  if (modules == NULL) {
    return EXHAUSTED;
  }
  modules->arena = arena;
  *out = modules;
  return OK;
}

/* What was there stays where it is until the arena goes: the list doubles, so that is as much again
 * as the list, at most. */
static enum status grow(struct module_list *modules) {
  size_t room = modules->room == 0 ? FIRST_ROOM : 2 * modules->room;
  struct module *module = arena_take(modules->arena, room * sizeof *module);
  if (module == NULL) {
    return EXHAUSTED;
  }
  if (modules->count > 0) {
    memcpy(module, modules->module, modules->count * sizeof *module);
  }
  modules->module = module;
  modules->room = room;
  return OK;
}

enum status modules_add(struct module_list *modules, const struct module *module) {
  assert(modules->place == NULL);
  if (modules->count == modules->room) {
    TRY(grow(modules));
  }
  struct module added = *module;
  TRY(arena_keep_text(modules->arena, module->name, &added.name));
  modules->module[modules->count++] = added;
  return OK;
}

static int by_address(const void *a, const void *b) {
  const struct place *x = a, *y = b;
  return x->held != y->held ? (x->held < y->held ? -1 : 1) : 0;
}

static void add_place(struct module_list *modules, const void *held, size_t index) {
  if (held != NULL) {
    modules->place[modules->places++] = (struct place){(uintptr_t)held, (int)index};
  }
}

enum status modules_seal(struct module_list *modules) {
  modules->place = arena_take(modules->arena, (2 * modules->count + 1) * sizeof *modules->place);
  if (modules->place == NULL) {
    return EXHAUSTED;
  }
  for (size_t i = 0; i < modules->count; i++) {
    const struct module *module = &modules->module[i];
    if (module->part == 0) {
      add_place(modules, module->held, i);
      add_place(modules, module->doubling, i);
    }
  }
  qsort(modules->place, modules->places, sizeof *modules->place, by_address);
  return OK;
}

size_t modules_count(const struct module_list *modules) { return modules->count; }

const struct module *modules_at(const struct module_list *modules, int index) {
  assert(index >= 0 && (size_t)index < modules->count);
  return &modules->module[index];
}

int modules_find(const struct module_list *modules, enum network network, const char *name) {
  for (size_t i = 0; i < modules->count; i++) {
    const struct module *module = &modules->module[i];
    if (module->network == network && strcmp(module->name, name) == 0) {
      return (int)i;
    }
  }
  return -1;
}

int modules_holding(const struct module_list *modules, const void *held) {
  const struct place wanted = {.held = (uintptr_t)held};
  assert(modules->place != NULL);
  const struct place *place =
      bsearch(&wanted, modules->place, modules->places, sizeof *modules->place, by_address);
  return place != NULL ? place->index : -1;
}
