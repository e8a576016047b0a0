/* words_cache.c - a small table searched from end to end. */
#include "worker/engine/words_cache.h"

#include <stdio.h>
#include <string.h>

struct words_cache {
  struct adapters_settings settings;
  uint64_t clock;
  struct shelf shelf;
  struct worded rows[WORDS_MAX];
};

/* What its prompts were made with waits for the device, so that nothing queued uses it. */
static void close_row(void *context, struct held *held) {
  struct words_cache *cache = context;
  struct worded *row = (struct worded *)held;
  conditionings_forget(cache->settings.conditionings, row->embeddings);
  embeddings_close(&row->embeddings);
}

enum status words_cache_open(struct arena *memory, const struct adapters_settings *settings,
                             struct words_cache **out) {
  struct words_cache *cache = arena_take_zeroed(memory, sizeof *cache);
  if (cache == NULL) {
    return EXHAUSTED;
  }
  cache->settings = *settings;
  cache->shelf = (struct shelf){
      .budget = settings->budget, .clock = &cache->clock, .close = close_row, .context = cache};
  shelf_rows(&cache->shelf, cache->rows, sizeof *cache->rows, WORDS_MAX);
  conditionings_ask_also(
      settings->conditionings,
      (struct forgetful){.forget_oldest = shelf_forget_oldest, .context = &cache->shelf});
  *out = cache;
  return OK;
}

void words_cache_close(struct words_cache **pointer) {
  if (*pointer != NULL) {
    shelf_forget_all(&(*pointer)->shelf, shelf_any, NULL);
  }
  *pointer = NULL; /* the table itself belongs to the arena it came from */
}

static bool is_of(const struct held *held, const void *resident) {
  return ((const struct worded *)held)->resident == resident;
}

void words_forget_model(struct words_cache *cache, const struct resident *resident) {
  shelf_forget_all(&cache->shelf, is_of, resident);
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

/* Whose words they are to be. */
struct wish {
  const struct resident *resident;
  struct library *library;
};

static bool same(const struct held *held, const void *wanted) {
  const struct worded *row = (const struct worded *)held;
  const struct wish *wish = wanted;
  bool like = row->resident == wish->resident && row->count == wish->library->count;
  for (int i = 0; like && i < row->count; i++) {
    like = strcmp(row->word[i].token, token_of(wish->library, i)) == 0 &&
           strcmp(row->word[i].key, wish->library->file[i].key) == 0;
  }
  return like;
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
  made->held.bytes = bytes;
  return OK;
}

static enum status make_row(struct words_cache *cache, const struct wish *wish, struct held **out) {
  const struct library *library = wish->library;
  struct worded made = {.resident = wish->resident, .count = library->count};
  TRY(read_files(wish->library));
  TRY(open_row(cache, library, &made));
  for (int i = 0; i < made.count; i++) {
    snprintf(made.word[i].token, sizeof made.word[i].token, "%s", token_of(library, i));
    snprintf(made.word[i].key, sizeof made.word[i].key, "%s", library->file[i].key);
  }
  struct worded *place = (struct worded *)shelf_place(&cache->shelf);
  if (place == NULL) {
    embeddings_close(&made.embeddings);
    budget_give(cache->settings.budget, made.held.bytes);
    return fail(EXHAUSTED, "%d combinations of embeddings are in use", WORDS_MAX);
  }
  *place = made;
  shelf_put(&place->held);
  *out = &place->held;
  return OK;
}

static enum status find_or_make(struct words_cache *cache, const struct wish *wish,
                                struct worded **out) {
  struct held *row = shelf_find(&cache->shelf, same, wish);
  if (row == NULL) {
    TRY(make_row(cache, wish, &row));
  }
  *out = (struct worded *)shelf_hold(&cache->shelf, row);
  return OK;
}

enum status words_hold(struct words_cache *cache, const struct resident *resident,
                       const Darkroom__V1__Job *job, const struct engine_inputs *inputs,
                       struct worded **out) {
  struct library library = {0};
  const struct wish wish = {resident, &library};
  if (job->n_embedding == 0) {
    *out = NULL;
    return OK;
  }
  enum status status = find_files(cache, job, inputs, &library);
  status = status == OK ? find_or_make(cache, &wish, out) : status;
  for (int i = 0; i < library.count; i++) {
    job_file_close(&library.file[i]);
  }
  return status;
}

void words_release(struct worded **pointer) {
  if (*pointer != NULL) {
    shelf_let_go(&(*pointer)->held);
    *pointer = NULL;
  }
}
