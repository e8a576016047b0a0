/* waiting.c - a hash table of watches, a plain array of workers. */
#include "broker/waiting.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "base/arena.h"
#include "base/hash.h"

enum { BUCKETS = 4096, WORKERS_BYTES_MAX = 32 * 1024 * 1024, KEPT_BYTES = 256 * 1024 };
enum { WATCHES_BYTES_MAX = 64 * 1024 * 1024 };

/* What a connection watches. A slot belongs to one connection at a time: its number is given anew
 * only after waiting_closed(). */
struct own {
  struct watcher *first;
  size_t count;
};

struct waiting {
  struct arena *arena;   /* this, and the rows of workers */
  struct arena *watches; /* watches and watchers; they come back through the free lists, and all
                            memory with the last of them */
  struct own own[CALLERS_MAX];
  struct watch *bucket[BUCKETS];
  struct watch *all;
  struct watch *due, **due_end; /* a queue: nothing walks all watches in every turn */
  struct watch *free_watches;
  struct watcher *free_watchers;
  size_t watchers;
  struct waiter *worker[WAITING_WORKERS_MAX];
  size_t workers, worker_rows; /* in use; rows that have memory */
  size_t turn;                 /* whose turn it is to be woken */
};

enum status waiting_open(struct waiting **out) {
  struct arena *arena = NULL;
  TRY(arena_open(NULL, WORKERS_BYTES_MAX, &arena));
  struct waiting *waiting = arena_take_zeroed(arena, sizeof *waiting);
  if (waiting == NULL || arena_open(NULL, WATCHES_BYTES_MAX, &waiting->watches) != OK) {
    arena_close(&arena);
    return EXHAUSTED;
  }
  waiting->arena = arena;
  waiting->due_end = &waiting->due;
  *out = waiting;
  return OK;
}

void waiting_close(struct waiting **waiting) {
  if (*waiting != NULL) {
    struct arena *arena = (*waiting)->arena;
    arena_close(&(*waiting)->watches);
    *waiting = NULL;
    arena_close(&arena);
  }
}

/* ---- clients --------------------------------------------------------------------------------- */

static struct watch **bucket_of(struct waiting *waiting, const char *job) {
  return &waiting->bucket[hash_on(HASH_START, job, strlen(job)) % BUCKETS];
}

struct watch *waiting_watch_of(struct waiting *waiting, const char *job) {
  struct watch *watch = *bucket_of(waiting, job);
  while (watch != NULL && strcmp(watch->name, job) != 0) {
    watch = watch->chain;
  }
  return watch;
}

static struct watch *add_watch(struct waiting *waiting, const char *job) {
  struct watch *watch = waiting->free_watches;
  if (watch != NULL) {
    waiting->free_watches = watch->chain;
  } else if ((watch = arena_take(waiting->watches, sizeof *watch)) == NULL) {
    return NULL;
  }
  struct watch **bucket = bucket_of(waiting, job);
  *watch = (struct watch){.chain = *bucket, .next = waiting->all, .back = &waiting->all};
  snprintf(watch->name, sizeof watch->name, "%s", job);
  *bucket = watch;
  if (waiting->all != NULL) {
    waiting->all->back = &watch->next;
  }
  waiting->all = watch;
  return watch;
}

void waiting_make_due(struct waiting *waiting, struct watch *watch) {
  if (!watch->due) {
    watch->due = true;
    watch->next_due = NULL;
    watch->back_due = waiting->due_end;
    *waiting->due_end = watch;
    waiting->due_end = &watch->next_due;
  }
}

/* Also for a watch whose last watcher has gone: it is due to nobody. */
static void take_due(struct waiting *waiting, struct watch *watch) {
  if (watch->due) {
    watch->due = false;
    *watch->back_due = watch->next_due;
    if (watch->next_due != NULL) {
      watch->next_due->back_due = watch->back_due;
    } else {
      waiting->due_end = watch->back_due;
    }
  }
}

struct watch *waiting_due(struct waiting *waiting) {
  struct watch *watch = waiting->due;
  if (watch != NULL) {
    take_due(waiting, watch);
  }
  return watch;
}

static void remove_watch(struct waiting *waiting, struct watch *watch) {
  take_due(waiting, watch);
  struct watch **link = bucket_of(waiting, watch->name);
  while (*link != watch) {
    link = &(*link)->chain;
  }
  *link = watch->chain;
  *watch->back = watch->next;
  if (watch->next != NULL) {
    watch->next->back = watch->back;
  }
  watch->chain = waiting->free_watches;
  waiting->free_watches = watch;
}

static bool same_peer(const struct peer *a, const struct peer *b) {
  return a->correlation == b->correlation && a->caller == b->caller;
}

static struct own *own_of(struct waiting *waiting, uint64_t caller) {
  return &waiting->own[caller % CALLERS_MAX];
}

static void count_watch(const struct peer *peer, int change) {
  if (peer->who->tenant != NULL) {
    peer->who->tenant->watches += (size_t)change;
  }
}

static enum status may_watch(struct waiting *waiting, const struct peer *peer) {
  size_t most = peer->who->row.limits.watches;
  most = most == 0 || most > CALLER_WATCHES_MAX ? CALLER_WATCHES_MAX : most;
  if (own_of(waiting, peer->caller)->count >= most) {
    return fail(EXHAUSTED, "more than %zu watches of one connection", most);
  }
  if (peer->who->tenant != NULL && peer->who->tenant->watches >= TENANT_WATCHES_MAX) {
    return fail(EXHAUSTED, "more than %d watches of one tenant", TENANT_WATCHES_MAX);
  }
  return waiting->watchers < WATCHERS_MAX
             ? OK
             : fail(EXHAUSTED, "more than %d watches at this broker", WATCHERS_MAX);
}

static struct watcher *add_watcher(struct waiting *waiting, struct watch *watch,
                                   const struct peer *peer) {
  struct watcher *watcher = waiting->free_watchers;
  struct own *own = own_of(waiting, peer->caller);
  if (watcher != NULL) {
    waiting->free_watchers = watcher->next;
  } else if ((watcher = arena_take(waiting->watches, sizeof *watcher)) == NULL) {
    return NULL;
  }
  *watcher = (struct watcher){.peer = *peer,
                              .watch = watch,
                              .next = watch->first,
                              .back = &watch->first,
                              .next_own = own->first,
                              .back_own = &own->first};
  if (watch->first != NULL) {
    watch->first->back = &watcher->next;
  }
  if (own->first != NULL) {
    own->first->back_own = &watcher->next_own;
  }
  watch->first = own->first = watcher;
  own->count++;
  count_watch(peer, 1);
  waiting->watchers++;
  return watcher;
}

enum status waiting_watch(struct waiting *waiting, const char *job, const struct peer *peer,
                          struct watcher **out) {
  struct watch *watch = waiting_watch_of(waiting, job);
  for (struct watcher *at = watch != NULL ? watch->first : NULL; at != NULL; at = at->next) {
    if (same_peer(&at->peer, peer)) {
      *out = at;
      return OK;
    }
  }
  TRY(may_watch(waiting, peer));
  if (watch == NULL && (watch = add_watch(waiting, job)) == NULL) {
    return EXHAUSTED;
  }
  struct watcher *added = add_watcher(waiting, watch, peer);
  if (added == NULL && watch->first == NULL) {
    remove_watch(waiting, watch);
  }
  if (added == NULL) {
    return EXHAUSTED;
  }
  *out = added;
  return OK;
}

/* A wave of watchers leaves no memory behind when it has gone. */
static void give_back(struct waiting *waiting) {
  if (waiting->watchers == 0 && arena_used(waiting->watches) > KEPT_BYTES) {
    waiting->free_watches = NULL;
    waiting->free_watchers = NULL;
    arena_drop(waiting->watches);
    arena_trim(waiting->watches, KEPT_BYTES);
  }
}

void waiting_unwatch(struct waiting *waiting, struct watcher *watcher) {
  struct watch *watch = watcher->watch;
  *watcher->back = watcher->next;
  if (watcher->next != NULL) {
    watcher->next->back = watcher->back;
  }
  *watcher->back_own = watcher->next_own;
  if (watcher->next_own != NULL) {
    watcher->next_own->back_own = watcher->back_own;
  }
  own_of(waiting, watcher->peer.caller)->count--;
  count_watch(&watcher->peer, -1);
  watcher->next = waiting->free_watchers;
  waiting->free_watchers = watcher;
  waiting->watchers--;
  if (watch->first == NULL) {
    remove_watch(waiting, watch);
  }
  give_back(waiting);
}

void waiting_unwatch_all(struct waiting *waiting, struct watch *watch) {
  for (struct watcher *watcher = watch->first, *next; watcher != NULL; watcher = next) {
    next = watcher->next;
    waiting_unwatch(waiting, watcher);
  }
}

void waiting_all_due(struct waiting *waiting, bool queued_only) {
  for (struct watch *watch = waiting->all; watch != NULL; watch = watch->next) {
    if (!queued_only || watch->queued) {
      waiting_make_due(waiting, watch);
    }
  }
}

void waiting_caller_due(struct waiting *waiting, uint64_t caller) {
  for (struct watcher *at = own_of(waiting, caller)->first; at != NULL; at = at->next_own) {
    waiting_make_due(waiting, at->watch);
  }
}

size_t waiting_watchers(const struct waiting *waiting) { return waiting->watchers; }

/* ---- workers --------------------------------------------------------------------------------- */

struct waiter *waiting_worker(struct waiting *waiting, const char *name) {
  for (size_t i = 0; i < waiting->workers; i++) {
    if (strcmp(waiting->worker[i]->name, name) == 0) {
      return waiting->worker[i];
    }
  }
  return NULL;
}

/* Rows keep their memory when a worker leaves; a few thousand names are looked through faster than
 * a hash table would pay for itself. */
static struct waiter *add_worker(struct waiting *waiting, const char *name) {
  if (waiting->workers == WAITING_WORKERS_MAX) {
    fail(EXHAUSTED, "more than %d workers at this broker", WAITING_WORKERS_MAX);
    return NULL;
  }
  if (waiting->workers == waiting->worker_rows) {
    waiting->worker[waiting->worker_rows] = arena_take(waiting->arena, sizeof(struct waiter));
    if (waiting->worker[waiting->worker_rows] == NULL) {
      return NULL;
    }
    waiting->worker_rows++;
  }
  struct waiter *waiter = waiting->worker[waiting->workers++];
  *waiter = (struct waiter){0};
  snprintf(waiter->name, sizeof waiter->name, "%s", name);
  return waiter;
}

enum status waiting_claim(struct waiting *waiting, const Darkroom__V1__Claim *claim,
                          const struct peer *peer) {
  struct waiter *waiter = waiting_worker(waiting, claim->worker);
  if (waiter == NULL && (waiter = add_worker(waiting, claim->worker)) == NULL) {
    return EXHAUSTED;
  }
  waiter->generation = claim->generation;
  waiter->peer = *peer;
  waiter->credits = 0;
  waiter->woken = waiter->withheld = false;
  waiter->fresh = true;
  uint64_t sum = 0;
  for (size_t i = 0; i < claim->n_credit && waiter->credits < WORKER_CREDITS_MAX; i++) {
    struct credit *credit = &waiter->credit[waiter->credits++];
    snprintf(credit->model, sizeof credit->model, "%s", claim->credit[i]->model);
    credit->jobs = claim->credit[i]->jobs;
    credit->max_side = claim->credit[i]->max_side;
    sum += credit->jobs;
  }
  waiter->jobs = claim->has_jobs && claim->jobs < sum ? claim->jobs : (uint32_t)sum;
  waiter->alone = !claim->has_alone ? ALONE_UNHEARD_OF
                  : claim->alone    ? ALONE_WILLING
                                    : ALONE_NOT_NOW;
  waiter->woken = waiter->jobs > 0;
  return OK;
}

static bool has_credit(const struct waiter *waiter, const char *model) {
  for (size_t i = 0; waiter->jobs > 0 && i < waiter->credits; i++) {
    if (waiter->credit[i].jobs > 0 &&
        (model == NULL || strcmp(waiter->credit[i].model, model) == 0)) {
      return true;
    }
  }
  return false;
}

/* One job wakes one worker, the next one in turn: waking all would claim for all, and only the
 * first would get anything. A wake that is lost is made up for by the sweep. */
bool waiting_wake(struct waiting *waiting, const char *model) {
  for (size_t i = 0; i < waiting->workers; i++) {
    struct waiter *waiter = waiting->worker[(waiting->turn + i) % waiting->workers];
    if (!waiter->woken && has_credit(waiter, model)) {
      waiter->woken = true;
      waiting->turn = (waiting->turn + i + 1) % waiting->workers;
      return true;
    }
  }
  return false;
}

void waiting_wake_all(struct waiting *waiting) {
  for (size_t i = 0; i < waiting->workers; i++) {
    waiting->worker[i]->woken = has_credit(waiting->worker[i], NULL);
  }
}

struct waiter *waiting_woken(struct waiting *waiting) {
  for (size_t i = 0; i < waiting->workers; i++) {
    if (waiting->worker[i]->woken) {
      waiting->worker[i]->woken = false;
      return waiting->worker[i];
    }
  }
  return NULL;
}

void waiting_withhold(struct waiting *waiting, struct waiter *waiter) {
  size_t credits = waiter->credits;
  waiter->credits = 0; /* first: so that it is not woken itself */
  waiter->woken = false;
  waiter->withheld = true;
  for (size_t i = 0; i < credits; i++) {
    (void)waiting_wake(waiting, waiter->credit[i].model);
  }
}

void waiting_drop(struct waiting *waiting, struct waiter *waiter) {
  for (size_t i = 0; i < waiting->workers; i++) {
    if (waiting->worker[i] ==
        waiter) { /* the last row takes its place; its memory waits behind the rows in use */
      waiting->workers--;
      waiting->worker[i] = waiting->worker[waiting->workers];
      waiting->worker[waiting->workers] = waiter;
      return;
    }
  }
  assert(false);
}

/* Workers are looked through: they are few, and connections close rarely. */
void waiting_closed(struct waiting *waiting, uint64_t caller,
                    void (*gone)(void *context, const struct waiter *waiter), void *context) {
  struct own *own = own_of(waiting, caller);
  while (own->first != NULL) {
    waiting_unwatch(waiting, own->first);
  }
  for (size_t i = waiting->workers; i > 0; i--) {
    if (waiting->worker[i - 1]->peer.caller == caller) {
      gone(context, waiting->worker[i - 1]);
      waiting_drop(waiting, waiting->worker[i - 1]);
    }
  }
}
