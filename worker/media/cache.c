/* cache.c - a list under a lock; it is short, since each entry is a file. */
#include "worker/media/cache.h"

#include <assert.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct cache {
  pthread_mutex_t lock;
  size_t bytes_max;
  unsigned long long clock; /* grows with each use */
  struct cached *first;
};

enum status cache_open(size_t bytes_max, struct cache **out) {
  struct cache *cache = calloc(1, sizeof *cache);
  if (cache == NULL) {
    return fail(EXHAUSTED, "no memory for a cache");
  }
  pthread_mutex_init(&cache->lock, NULL);
  cache->bytes_max = bytes_max;
  *out = cache;
  return OK;
}

static void drop(struct cached **place) {
  struct cached *cached = *place;
  *place = cached->next;
  bytes_close(&cached->content);
  free(cached);
}

void cache_close(struct cache **pointer) {
  if (pointer == NULL || *pointer == NULL) {
    return;
  }
  struct cache *cache = *pointer;
  while (cache->first != NULL) {
    assert(cache->first->lent == 0);
    drop(&cache->first);
  }
  pthread_mutex_destroy(&cache->lock);
  free(cache);
  *pointer = NULL;
}

static struct cached *lend(struct cache *cache, struct cached *cached) {
  cached->lent++;
  cached->used = ++cache->clock;
  return cached;
}

static struct cached *find(const struct cache *cache, const char *sha256) {
  struct cached *cached = cache->first;
  while (cached != NULL && strcmp(cached->sha256, sha256) != 0) {
    cached = cached->next;
  }
  return cached;
}

const struct cached *cache_find(struct cache *cache, const char *sha256) {
  pthread_mutex_lock(&cache->lock);
  struct cached *cached = find(cache, sha256);
  cached = cached != NULL ? lend(cache, cached) : NULL;
  pthread_mutex_unlock(&cache->lock);
  return cached;
}

/* Two jobs may have fetched the same file at once: the first copy is kept. */
enum status cache_keep(struct cache *cache, const char *sha256, struct bytes *content,
                       const struct cached **out) {
  struct cached *fresh = calloc(1, sizeof *fresh);
  if (fresh == NULL) {
    return fail(EXHAUSTED, "no memory for a fetched file");
  }
  pthread_mutex_lock(&cache->lock);
  struct cached *cached = find(cache, sha256);
  if (cached == NULL) {
    snprintf(fresh->sha256, sizeof fresh->sha256, "%s", sha256);
    fresh->content = *content;
    *content = (struct bytes){.max = content->max};
    fresh->next = cache->first;
    cache->first = cached = fresh;
    fresh = NULL;
  }
  *out = lend(cache, cached);
  pthread_mutex_unlock(&cache->lock);
  free(fresh);
  bytes_close(content);
  return OK;
}

static bool too_much(const struct cache *cache) {
  size_t bytes = 0;
  size_t files = 0;
  for (const struct cached *at = cache->first; at != NULL; at = at->next) {
    bytes += at->lent == 0 ? at->content.length : 0;
    files += at->lent == 0;
  }
  return bytes > cache->bytes_max || files > CACHE_FILES_MAX;
}

static struct cached **oldest_idle(struct cache *cache) {
  struct cached **oldest = NULL;
  for (struct cached **at = &cache->first; *at != NULL; at = &(*at)->next) {
    if ((*at)->lent == 0 && (oldest == NULL || (*at)->used < (*oldest)->used)) {
      oldest = at;
    }
  }
  return oldest;
}

void cache_give_back(struct cache *cache, const struct cached *lent) {
  if (lent == NULL) {
    return;
  }
  pthread_mutex_lock(&cache->lock);
  struct cached *cached = find(cache, lent->sha256);
  assert(cached == lent && cached->lent > 0);
  cached->lent--;
  while (too_much(cache)) {
    drop(oldest_idle(cache));
  }
  pthread_mutex_unlock(&cache->lock);
}
