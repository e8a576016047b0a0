/* adapters_cache.c - two small tables searched from end to end: files read, combinations made. */
#include "worker/engine/adapters_cache.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "worker/engine/files.h"
#include "worker/engine/inputs.h"

/* A file read for a model. Needed while a combination is made only, so nobody holds it. */
struct file {
  const struct resident *resident; /* NULL: a free row */
  struct adapter *adapter;
  uint64_t number;
  char key[FILE_KEY_BYTES_MAX];
  struct adapter_report report;
  size_t bytes;
  bool wanted; /* by the combination that is being made */
  uint64_t last_used;
};

struct adapters_cache {
  struct adapters_settings settings;
  uint64_t clock, numbers;
  struct file files[ADAPTERS_READ_MAX];
  struct adapted rows[ADAPTATIONS_MAX];
};

/* ---- forgetting ---- */

static void forget_file(struct adapters_cache *cache, struct file *file) {
  adapter_close(&file->adapter);
  budget_give(cache->settings.budget, file->bytes);
  *file = (struct file){0};
}

/* What its prompts were made with waits for the device, so that nothing queued uses it. */
static void forget_row(struct adapters_cache *cache, struct adapted *row) {
  assert(row->holders == 0);
  conditionings_forget(cache->settings.conditionings, row->adaptation);
  adaptation_close(&row->adaptation);
  budget_give(cache->settings.budget, row->bytes);
  *row = (struct adapted){0};
}

static struct adapted *oldest_row(struct adapters_cache *cache) {
  struct adapted *oldest = NULL;
  for (int i = 0; i < ADAPTATIONS_MAX; i++) {
    struct adapted *row = &cache->rows[i];
    bool idle = row->resident != NULL && row->holders == 0;
    oldest = idle && (oldest == NULL || row->last_used < oldest->last_used) ? row : oldest;
  }
  return oldest;
}

static struct file *oldest_file(struct adapters_cache *cache) {
  struct file *oldest = NULL;
  for (int i = 0; i < ADAPTERS_READ_MAX; i++) {
    struct file *file = &cache->files[i];
    bool idle = file->resident != NULL && !file->wanted;
    oldest = idle && (oldest == NULL || file->last_used < oldest->last_used) ? file : oldest;
  }
  return oldest;
}

/* The longest unused of both: what is on the device is the dearer to make. */
static bool forget_oldest(void *context) {
  struct adapters_cache *cache = context;
  struct file *file = oldest_file(cache);
  struct adapted *row = oldest_row(cache);
  if (row != NULL && (file == NULL || row->last_used < file->last_used)) {
    forget_row(cache, row);
    return true;
  }
  if (file != NULL) {
    forget_file(cache, file);
  }
  return file != NULL;
}

/* ---- opening and closing ---- */

enum status adapters_cache_open(struct arena *memory, const struct adapters_settings *settings,
                                struct adapters_cache **out) {
  struct adapters_cache *cache = arena_take_zeroed(memory, sizeof *cache);
  if (cache == NULL) {
    return EXHAUSTED;
  }
  cache->settings = *settings;
  conditionings_ask_also(settings->conditionings,
                         (struct forgetful){.forget_oldest = forget_oldest, .context = cache});
  *out = cache;
  return OK;
}

void adapters_cache_close(struct adapters_cache **pointer) {
  struct adapters_cache *cache = *pointer;
  for (int i = 0; cache != NULL && i < ADAPTATIONS_MAX; i++) {
    if (cache->rows[i].resident != NULL) {
      forget_row(cache, &cache->rows[i]);
    }
  }
  for (int i = 0; cache != NULL && i < ADAPTERS_READ_MAX; i++) {
    if (cache->files[i].resident != NULL) {
      forget_file(cache, &cache->files[i]);
    }
  }
  *pointer = NULL; /* the table itself belongs to the arena it came from */
}

void adapters_forget_model(struct adapters_cache *cache, const struct resident *resident) {
  for (int i = 0; i < ADAPTATIONS_MAX; i++) {
    if (cache->rows[i].resident == resident) {
      forget_row(cache, &cache->rows[i]);
    }
  }
  for (int i = 0; i < ADAPTERS_READ_MAX; i++) {
    if (cache->files[i].resident == resident) {
      forget_file(cache, &cache->files[i]);
    }
  }
}

/* ---- files ---- */

/* What is being made: for whom, of what. */
struct making {
  const struct resident *resident;
  const Darkroom__V1__Job *job;
  const struct engine_inputs *inputs;
  struct notes *notes;
};

static struct file *find_file(struct adapters_cache *cache, const struct resident *resident,
                              const char *key) {
  for (int i = 0; i < ADAPTERS_READ_MAX; i++) {
    struct file *file = &cache->files[i];
    if (file->resident == resident && strcmp(file->key, key) == 0) {
      return file;
    }
  }
  return NULL;
}

static struct file *free_file(struct adapters_cache *cache) {
  for (int i = 0; i < ADAPTERS_READ_MAX; i++) {
    if (cache->files[i].resident == NULL) {
      return &cache->files[i];
    }
  }
  struct file *oldest = oldest_file(cache);
  forget_file(cache, oldest); /* there is one: a job has fewer adapters than there are rows */
  return oldest;
}
_Static_assert(ADAPTERS_READ_MAX > JOB_ADAPTERS_MAX, "those of one job are read side by side");

static enum status read_file(struct adapters_cache *cache, const struct resident *resident,
                             const struct job_file *from, struct file **out) {
  struct file file = {.resident = resident};
  const struct adapter_source source = {.name = from->name,
                                        .data = from->data,
                                        .bytes = from->bytes,
                                        .sha256 = from->hashed ? from->sha256 : NULL};
  TRY(adapter_open(resident->model, &source, &file.adapter, &file.report));
  size_t bytes = adapter_bytes(file.adapter);
  enum status status = conditionings_make_room(cache->settings.conditionings, bytes);
  if (status != OK) {
    adapter_close(&file.adapter);
    return status;
  }
  file.bytes = bytes;
  file.number = ++cache->numbers;
  snprintf(file.key, sizeof file.key, "%s", from->key);
  struct file *place = free_file(cache);
  *place = file;
  *out = place;
  return OK;
}

static enum status find_or_read(struct adapters_cache *cache, const struct making *making,
                                struct job_file *from, struct file **out) {
  struct file *file = find_file(cache, making->resident, from->key);
  if (file == NULL) {
    TRY(job_file_read(from));
    TRY(read_file(cache, making->resident, from, &file));
  }
  if (file->report.skipped > 0) {
    note(making->notes, "adapter %.64s: %d of its tensors have no place in this model, like %.80s",
         from->name, file->report.skipped, file->report.first_skipped);
  }
  *out = file;
  return OK;
}

static enum status want_file(struct adapters_cache *cache, const struct making *making, size_t i,
                             struct file **out) {
  const Darkroom__V1__Adapter *adapter = making->job->adapter[i];
  const struct file_wish wish = {INPUT_ADAPTER, (uint32_t)i, adapter->name, adapter->blob};
  struct job_file from = {0};
  struct file *file = NULL;
  enum status status = job_file_find(&cache->settings.extras, making->inputs, &wish, &from);
  status = status == OK ? find_or_read(cache, making, &from, &file) : status;
  job_file_close(&from);
  TRY(status);
  file->wanted = true;
  file->last_used = ++cache->clock;
  *out = file;
  return OK;
}

/* ---- combinations ---- */

/* The files of a job, and how much of each is wanted. */
struct combination {
  int count;
  struct file *file[JOB_ADAPTERS_MAX];
  struct adapter_use use[JOB_ADAPTERS_MAX];
};

static enum status gather(struct adapters_cache *cache, const struct making *making,
                          struct combination *out) {
  for (size_t i = 0; i < making->job->n_adapter; i++) {
    const Darkroom__V1__Adapter *said = making->job->adapter[i];
    TRY(want_file(cache, making, i, &out->file[i]));
    out->use[i] = (struct adapter_use){
        .adapter = out->file[i]->adapter,
        .weight = (float)said->weight,
        .text_weight = (float)(said->has_text_weight ? said->text_weight : said->weight)};
    out->count++;
  }
  return OK;
}

static bool same(const struct adapted *row, const struct combination *combination) {
  for (int i = 0; i < row->count; i++) {
    const struct adapter_use *use = &combination->use[i];
    if (row->use[i].file != combination->file[i]->number || row->use[i].weight != use->weight ||
        row->use[i].text_weight != use->text_weight) {
      return false;
    }
  }
  return true;
}

static struct adapted *find_row(struct adapters_cache *cache, const struct resident *resident,
                                const struct combination *combination) {
  for (int i = 0; i < ADAPTATIONS_MAX; i++) {
    struct adapted *row = &cache->rows[i];
    if (row->resident == resident && row->count == combination->count && same(row, combination)) {
      return row;
    }
  }
  return NULL;
}

static struct adapted *free_row(struct adapters_cache *cache) {
  for (int i = 0; i < ADAPTATIONS_MAX; i++) {
    if (cache->rows[i].resident == NULL) {
      return &cache->rows[i];
    }
  }
  struct adapted *oldest = oldest_row(cache);
  if (oldest != NULL) {
    forget_row(cache, oldest);
  }
  return oldest;
}

static enum status make_row(struct adapters_cache *cache, const struct resident *resident,
                            const struct combination *combination, struct adapted **out) {
  size_t count = (size_t)combination->count;
  struct adapted made = {.resident = resident, .count = combination->count};
  made.bytes = adaptation_bytes(resident->model, combination->use, count);
  struct adapted *place = free_row(cache);
  if (place == NULL) {
    return fail(EXHAUSTED, "%d combinations of adapters are in use", ADAPTATIONS_MAX);
  }
  TRY(conditionings_make_room(cache->settings.conditionings, made.bytes));
  enum status status = adaptation_open(resident->model, combination->use, count, &made.adaptation);
  if (status != OK) {
    budget_give(cache->settings.budget, made.bytes);
    return status;
  }
  made.number = ++cache->numbers;
  for (int i = 0; i < made.count; i++) {
    assert(combination->file[i] != NULL); /* gathered, all of them */
    made.use[i] = (struct adapted_use){combination->file[i]->number, combination->use[i].weight,
                                       combination->use[i].text_weight};
  }
  *place = made;
  *out = place;
  return OK;
}

static enum status find_or_make(struct adapters_cache *cache, const struct making *making,
                                struct combination *combination, struct adapted **out) {
  TRY(gather(cache, making, combination));
  struct adapted *row = find_row(cache, making->resident, combination);
  if (row == NULL) {
    TRY(make_row(cache, making->resident, combination, &row));
  }
  row->holders++;
  row->last_used = ++cache->clock;
  *out = row;
  return OK;
}

enum status adapters_hold(struct adapters_cache *cache, const struct resident *resident,
                          const Darkroom__V1__Job *job, const struct engine_inputs *inputs,
                          struct notes *notes, struct adapted **out) {
  const struct making making = {resident, job, inputs, notes};
  struct combination combination = {0};
  if (job->n_adapter == 0) {
    *out = NULL;
    return OK;
  }
  enum status status = find_or_make(cache, &making, &combination, out);
  for (int i = 0; i < ADAPTERS_READ_MAX; i++) {
    cache->files[i].wanted = false;
  }
  return status;
}

void adapters_release(struct adapted **pointer) {
  if (*pointer != NULL) {
    assert((*pointer)->holders > 0);
    (*pointer)->holders--;
    *pointer = NULL;
  }
}
