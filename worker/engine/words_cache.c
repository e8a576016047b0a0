/* words_cache.c - a small table searched from end to end. */
#include "worker/engine/words_cache.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

struct words_cache {
  struct adapters_settings settings;
  uint64_t clock;
  struct worded rows[WORDS_MAX];
};

/* What its prompts were made with waits for the device, so that nothing queued uses it. */
static void forget_row(struct words_cache *cache, struct worded *row) {
  assert(row->holders == 0);
  conditionings_forget(cache->settings.conditionings, row->embeddings);
  embeddings_close(&row->embeddings);
  budget_give(cache->settings.budget, row->bytes);
  *row = (struct worded){0};
}

static bool forget_oldest(void *context) {
  struct words_cache *cache = context;
  struct worded *oldest = NULL;
  for (int i = 0; i < WORDS_MAX; i++) {
    struct worded *row = &cache->rows[i];
    bool idle = row->resident != NULL && row->holders == 0;
    oldest = idle && (oldest == NULL || row->last_used < oldest->last_used) ? row : oldest;
  }
  if (oldest != NULL) {
    forget_row(cache, oldest);
  }
  return oldest != NULL;
}

enum status words_cache_open(struct arena *memory, const struct adapters_settings *settings,
                             struct words_cache **out) {
  struct words_cache *cache = arena_take_zeroed(memory, sizeof *cache);
  if (cache == NULL) {
    return EXHAUSTED;
  }
  cache->settings = *settings;
  conditionings_ask_also(settings->conditionings,
                         (struct forgetful){.forget_oldest = forget_oldest, .context = cache});
  *out = cache;
  return OK;
}

void words_cache_close(struct words_cache **pointer) {
  while (*pointer != NULL && forget_oldest(*pointer)) {
  }
  *pointer = NULL; /* the table itself belongs to the arena it came from */
}

void words_forget_model(struct words_cache *cache, const struct resident *resident) {
  for (int i = 0; i < WORDS_MAX; i++) {
    if (cache->rows[i].resident == resident) {
      forget_row(cache, &cache->rows[i]);
    }
  }
}

/* ---- one job's ---- */

/* The files of a job's words. */
struct library {
  int count;
  struct job_file file[JOB_EMBEDDINGS_MAX];
  struct embedding_source source[JOB_EMBEDDINGS_MAX];
};

static enum status find_files(const struct words_cache *cache, const Darkroom__V1__Job *job,
                              const struct engine_inputs *inputs, struct library *out) {
  for (size_t i = 0; i < job->n_embedding; i++) {
    const Darkroom__V1__Embedding *said = job->embedding[i];
    const struct file_wish wish = {INPUT_EMBEDDING, (uint32_t)i, said->name, said->blob};
    TRY(job_file_find(&cache->settings.extras, inputs, &wish, &out->file[i]));
    out->source[i] = (struct embedding_source){.name = out->file[i].name, .token = said->token};
    out->count++;
  }
  return OK;
}

static enum status read_files(struct library *library) {
  for (int i = 0; i < library->count; i++) {
    TRY(job_file_read(&library->file[i]));
    library->source[i].data = library->file[i].data;
    library->source[i].bytes = library->file[i].bytes;
  }
  return OK;
}

static const char *token_of(const struct library *library, int i) {
  return library->source[i].token != NULL ? library->source[i].token : "";
}

static bool same(const struct worded *row, const struct library *library) {
  for (int i = 0; i < row->count; i++) {
    if (strcmp(row->word[i].token, token_of(library, i)) != 0 ||
        strcmp(row->word[i].key, library->file[i].key) != 0) {
      return false;
    }
  }
  return true;
}

static struct worded *find_row(struct words_cache *cache, const struct resident *resident,
                               const struct library *library) {
  for (int i = 0; i < WORDS_MAX; i++) {
    struct worded *row = &cache->rows[i];
    if (row->resident == resident && row->count == library->count && same(row, library)) {
      return row;
    }
  }
  return NULL;
}

static struct worded *free_row(struct words_cache *cache) {
  for (int i = 0; i < 2 * WORDS_MAX; i++) {
    if (cache->rows[i % WORDS_MAX].resident == NULL) {
      return &cache->rows[i % WORDS_MAX];
    }
    if (i + 1 == WORDS_MAX && !forget_oldest(cache)) {
      break;
    }
  }
  return NULL;
}

static enum status open_row(struct words_cache *cache, const struct library *library,
                            struct worded *made) {
  TRY(embeddings_open(made->resident->model, library->source, (size_t)library->count,
                      &made->embeddings));
  size_t bytes = embeddings_bytes(made->embeddings);
  enum status status = conditionings_make_room(cache->settings.conditionings, bytes);
  if (status != OK) {
    embeddings_close(&made->embeddings);
    return status;
  }
  made->bytes = bytes;
  return OK;
}

static enum status make_row(struct words_cache *cache, const struct resident *resident,
                            struct library *library, struct worded **out) {
  struct worded made = {.resident = resident, .count = library->count};
  struct worded *place = free_row(cache);
  if (place == NULL) {
    return fail(EXHAUSTED, "%d combinations of embeddings are in use", WORDS_MAX);
  }
  TRY(read_files(library));
  TRY(open_row(cache, library, &made));
  for (int i = 0; i < made.count; i++) {
    snprintf(made.word[i].token, sizeof made.word[i].token, "%s", token_of(library, i));
    snprintf(made.word[i].key, sizeof made.word[i].key, "%s", library->file[i].key);
  }
  *place = made;
  *out = place;
  return OK;
}

static enum status find_or_make(struct words_cache *cache, const struct resident *resident,
                                struct library *library, struct worded **out) {
  struct worded *row = find_row(cache, resident, library);
  if (row == NULL) {
    TRY(make_row(cache, resident, library, &row));
  }
  row->holders++;
  row->last_used = ++cache->clock;
  *out = row;
  return OK;
}

enum status words_hold(struct words_cache *cache, const struct resident *resident,
                       const Darkroom__V1__Job *job, const struct engine_inputs *inputs,
                       struct worded **out) {
  struct library library = {0};
  if (job->n_embedding == 0) {
    *out = NULL;
    return OK;
  }
  enum status status = find_files(cache, job, inputs, &library);
  status = status == OK ? find_or_make(cache, resident, &library, out) : status;
  for (int i = 0; i < library.count; i++) {
    job_file_close(&library.file[i]);
  }
  return status;
}

void words_release(struct worded **pointer) {
  if (*pointer != NULL) {
    assert((*pointer)->holders > 0);
    (*pointer)->holders--;
    *pointer = NULL;
  }
}
