/* cache.h - files of jobs that were fetched lately, by SHA-256: jobs that share an adapter or a
 * picture read it once. Threads share it. */
#ifndef DARKROOM_WORKER_MEDIA_CACHE_H
#define DARKROOM_WORKER_MEDIA_CACHE_H

#include <stddef.h>

#include "base/bytes.h"
#include "base/status.h"
#include "store/digest.h"

/* However small they are: each is looked for in a list. */
#define CACHE_FILES_MAX 1024

struct cache;

/* A file that is lent: it stays as long as it is not given back. */
struct cached {
  struct cached *next; /* the cache's, as what follows */
  int lent;
  unsigned long long used;
  char sha256[SHA256_TEXT_MAX];
  struct bytes content;
};

/* bytes_max: of what is kept beside what is lent, at most CACHE_FILES_MAX files; 0: nothing. */
enum status cache_open(size_t bytes_max, struct cache **out);
/* Nothing may be lent any more. */
void cache_close(struct cache **cache);

/* The file of that hash, lent; NULL when it is not here. */
const struct cached *cache_find(struct cache *cache, const char *sha256);
/* Takes the content over (it is empty then) and lends it. EXHAUSTED without memory. */
enum status cache_keep(struct cache *cache, const char *sha256, struct bytes *content,
                       const struct cached **out);
/* From now on it may go: those used longest ago go first. NULL is fine. */
void cache_give_back(struct cache *cache, const struct cached *cached);

#endif
