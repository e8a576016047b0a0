/* adapters_cache.c - two tables: files read, combinations made. */
#include "worker/engine/adapters_cache.h"

#include <stdio.h>
#include <string.h>

#include "worker/engine/files.h"
#include "worker/engine/inputs.h"

/* A file read for a model: held while a combination is made of it. */
struct file {
  struct held held;
  const struct resident *resident;
  struct adapter *adapter;
  uint64_t number;
  char key[FILE_KEY_BYTES_MAX];
  struct adapter_report report;
};

struct adapters_cache {
  struct adapters_settings settings;
  uint64_t clock, numbers;
  struct shelf read, made;
  struct merges merges;
  struct file files[ADAPTERS_READ_MAX];
  struct adapted rows[ADAPTATIONS_MAX];
};

/* ---- forgetting ---- */

static void close_file(void *context, struct held *held) {
  (void)context;
  adapter_close(&((struct file *)held)->adapter);
}

/* What its prompts were made with waits for the device, so that nothing queued uses it. */
static void close_row(void *context, struct held *held) {
  struct adapters_cache *cache = context;
  struct adapted *row = (struct adapted *)held;
  if (row->adaptation != NULL) {
    conditionings_forget(cache->settings.conditionings, row->adaptation);
  }
  adaptation_close(&row->adaptation);
}

/* The longest unused of both: what is on the device is the dearer to make. */
static bool forget_oldest(void *context) {
  struct adapters_cache *cache = context;
  const struct held *file = shelf_oldest(&cache->read), *row = shelf_oldest(&cache->made);
  bool rows = row != NULL && (file == NULL || row->last_used < file->last_used);
  return shelf_forget_oldest(rows ? &cache->made : &cache->read);
}

/* ---- opening and closing ---- */

enum status adapters_cache_open(struct arena *memory, const struct adapters_settings *settings,
                                struct adapters_cache **out) {
  struct adapters_cache *cache = arena_take_zeroed(memory, sizeof *cache);
  if (cache == NULL) {
    return EXHAUSTED;
  }
  const struct shelf both = {.budget = settings->budget, .clock = &cache->clock, .context = cache};
  cache->settings = *settings;
  cache->merges.budget = settings->budget;
  cache->read = cache->made = both;
  shelf_rows(&cache->read, cache->files, sizeof *cache->files, ADAPTERS_READ_MAX);
  shelf_rows(&cache->made, cache->rows, sizeof *cache->rows, ADAPTATIONS_MAX);
  cache->read.close = close_file;
  cache->made.close = close_row;
  conditionings_ask_also(settings->conditionings,
                         (struct forgetful){.forget_oldest = forget_oldest, .context = cache});
  *out = cache;
  return OK;
}

void adapters_cache_close(struct adapters_cache **pointer) {
  if (*pointer != NULL) {
    merges_close(&(*pointer)->merges);
    shelf_forget_all(&(*pointer)->made, shelf_any, NULL);
    shelf_forget_all(&(*pointer)->read, shelf_any, NULL);
  }
  *pointer = NULL; /* the table itself belongs to the arena it came from */
}

static bool file_is_of(const struct held *held, const void *resident) {
  return ((const struct file *)held)->resident == resident;
}
static bool row_is_of(const struct held *held, const void *resident) {
  return ((const struct adapted *)held)->resident == resident;
}
static bool is_held_of(const struct held *held, const void *resident) {
  return held->holders > 0 && row_is_of(held, resident);
}

void adapters_forget_model(struct adapters_cache *cache, const struct resident *resident) {
  shelf_forget_all(&cache->made, row_is_of, resident);
  shelf_forget_all(&cache->read, file_is_of, resident);
}

bool adapters_hold_model(const struct adapters_cache *cache, const struct resident *resident) {
  return shelf_find(&cache->made, is_held_of, resident) != NULL;
}

struct merges *adapters_merges(struct adapters_cache *cache) {
  return &cache->merges;
}

/* ---- files ---- */

/* A file's key behind a model. */
struct file_name {
  const struct resident *resident;
  const char *key;
};

static bool is_file(const struct held *held, const void *wanted) {
  const struct file *file = (const struct file *)held;
  const struct file_name *name = wanted;
  return file->resident == name->resident && strcmp(file->key, name->key) == 0;
}

static enum status read_file(struct adapters_cache *cache, const struct resident *resident,
                             const struct job_file *from, struct held **out) {
  struct file file = {.resident = resident};
  const struct adapter_source source = {.name = from->name,
                                        .data = from->data,
                                        .bytes = from->bytes,
                                        .sha256 = from->hashed ? from->sha256 : NULL};
  TRY(adapter_open(resident->model, &source, &file.adapter, &file.report));
  size_t bytes = adapter_bytes(file.adapter);
  enum status status = conditionings_make_room(cache->settings.conditionings, bytes);
  struct held *place = status == OK ? shelf_place(&cache->read) : NULL;
  if (place == NULL) {
    budget_give(cache->settings.budget, status == OK ? bytes : 0);
    adapter_close(&file.adapter);
    return status != OK ? status : fail(EXHAUSTED, "%d adapters are in use", ADAPTERS_READ_MAX);
  }
  file.held.bytes = bytes;
  file.number = ++cache->numbers;
  snprintf(file.key, sizeof file.key, "%s", from->key);
  *(struct file *)place = file;
  shelf_put(place);
  *out = place;
  return OK;
}
_Static_assert(ADAPTERS_READ_MAX > 2 * JOB_ADAPTERS_MAX,
               "those of one job are read beside those that are merged");

static enum status find_or_read(struct adapters_cache *cache, const struct adapters_order *order,
                                struct job_file *from, struct held **out) {
  const struct file_name name = {order->resident, from->key};
  struct held *found = shelf_find(&cache->read, is_file, &name);
  if (found == NULL) {
    TRY(job_file_read(from));
    TRY(read_file(cache, order->resident, from, &found));
  }
  const struct adapter_report *report = &((struct file *)found)->report;
  if (report->skipped > 0) {
    note(order->notes, "adapter %.64s: %d of its tensors have no place in this model, like %.80s",
         from->name, report->skipped, report->first_skipped);
  }
  *out = found;
  return OK;
}

/* Held. */
static enum status want_file(struct adapters_cache *cache, const struct adapters_order *order,
                             size_t i, struct held **out) {
  const Darkroom__V1__Adapter *adapter = order->job->adapter[i];
  const struct file_wish wish = {INPUT_ADAPTER, (uint32_t)i, adapter->name, adapter->blob};
  struct job_file from = {0};
  struct held *file = NULL;
  enum status status = job_file_find(&cache->settings.extras, order->inputs, &wish, &from);
  status = status == OK ? find_or_read(cache, order, &from, &file) : status;
  job_file_close(&from);
  TRY(status);
  *out = shelf_hold(&cache->read, file);
  return OK;
}

/* ---- combinations ---- */

/* The files of a job, and how much of each is wanted. */
struct combination {
  const struct resident *resident;
  int count;
  struct held *file[JOB_ADAPTERS_MAX]; /* held */
  struct adapter_use use[JOB_ADAPTERS_MAX];
};

static uint64_t number_of(const struct held *file) { return ((const struct file *)file)->number; }

static enum status gather(struct adapters_cache *cache, const struct adapters_order *order,
                          struct combination *out) {
  for (size_t i = 0; i < order->job->n_adapter; i++) {
    const Darkroom__V1__Adapter *said = order->job->adapter[i];
    TRY(want_file(cache, order, i, &out->file[i]));
    out->use[i] = (struct adapter_use){
        .adapter = ((struct file *)out->file[i])->adapter,
        .weight = (float)said->weight,
        .text_weight = (float)(said->has_text_weight ? said->text_weight : said->weight)};
    out->count++;
  }
  return OK;
}

static void let_go_files(struct combination *combination) {
  for (int i = 0; i < combination->count; i++) {
    shelf_let_go(combination->file[i]);
  }
  combination->count = 0;
}

static bool is_combination(const struct held *held, const void *wanted) {
  const struct adapted *row = (const struct adapted *)held;
  const struct combination *combination = wanted;
  bool like = row->resident == combination->resident && row->count == combination->count;
  for (int i = 0; like && i < row->count; i++) {
    const struct adapter_use *use = &combination->use[i];
    like = row->use[i].file == number_of(combination->file[i]) &&
           row->use[i].weight == use->weight && row->use[i].text_weight == use->text_weight;
  }
  return like;
}

/* A row for it, held by the caller, without what is on the device: bytes are promised for that. */
static enum status take_row(struct adapters_cache *cache, const struct combination *combination,
                            struct adapted **out) {
  struct adapted *place = (struct adapted *)shelf_place(&cache->made);
  if (place == NULL) {
    return fail(EXHAUSTED, "%d combinations of adapters are in use", ADAPTATIONS_MAX);
  }
  *place = (struct adapted){.resident = combination->resident,
                            .cache = cache,
                            .count = combination->count,
                            .number = ++cache->numbers};
  for (int i = 0; i < place->count; i++) {
    place->use[i] =
        (struct adapted_use){number_of(combination->file[i]), combination->use[i].weight,
                             combination->use[i].text_weight};
  }
  shelf_put(&place->held);
  *out = (struct adapted *)shelf_hold(&cache->made, &place->held);
  return OK;
}

/* ---- what comes of a row ---- */

static void let_go_row(void *context) {
  struct adapted *row = context;
  shelf_let_go(&row->held);
  if (row->held.holders == 0 && row->adaptation == NULL) {
    shelf_forget(&row->cache->made, &row->held);
  }
}

/* One that could not be made takes nothing any more. A device without memory may have it later: the
 * job is tried elsewhere, or again. */
static void keep_made(void *context, struct adaptation *adaptation, enum status status) {
  struct adapted *row = context;
  row->adaptation = adaptation;
  row->trouble = status == EXHAUSTED ? UNAVAILABLE : status;
  if (status != OK) {
    snprintf(row->reason, sizeof row->reason, "%s", fail_reason());
    snprintf(row->field, sizeof row->field, "%s", fail_field_name());
    budget_give(row->cache->settings.budget, row->held.bytes);
    row->held.bytes = 0;
  }
}

static const struct merge_listener listener = {.made = keep_made, .let_go = let_go_row};

/* ---- the two ways ---- */

static enum status make_now(struct adapters_cache *cache, const struct combination *combination,
                            struct adapted **out) {
  struct model *model = combination->resident->model;
  size_t count = (size_t)combination->count;
  size_t bytes = adaptation_bytes(model, combination->use, count);
  struct adapted *row = NULL;
  TRY(conditionings_make_room(cache->settings.conditionings, bytes));
  enum status status = take_row(cache, combination, &row);
  if (status != OK) {
    budget_give(cache->settings.budget, bytes);
    return status;
  }
  row->held.bytes = bytes;
  status = adaptation_open(model, combination->use, count, &row->adaptation);
  if (status != OK) {
    let_go_row(row);
    return status;
  }
  *out = row;
  return OK;
}

/* The files stay held, by the merge. */
static enum status begin_merge(struct adapters_cache *cache, struct combination *combination) {
  struct merge merge = {.model = combination->resident->model,
                        .count = (size_t)combination->count,
                        .listener = &listener};
  struct adapted *row = NULL;
  memcpy(merge.use, combination->use, sizeof merge.use);
  memcpy(merge.file, combination->file, sizeof merge.file);
  size_t bytes = adaptation_bytes(merge.model, merge.use, merge.count);
  merge.scratch = adaptation_scratch_bytes(merge.model, merge.use, merge.count);
  TRY(conditionings_make_room(cache->settings.conditionings, budget_sum(bytes, merge.scratch)));
  enum status status = take_row(cache, combination, &row);
  if (status != OK) {
    budget_give(cache->settings.budget, bytes + merge.scratch);
    return status;
  }
  row->held.bytes = bytes;
  merge.row = row;
  combination->count = 0;
  return merges_begin(&cache->merges, &merge);
}

static enum status wait_for_merge(struct adapters_cache *cache, const struct adapters_order *order,
                                  bool own) {
  merges_wait(&cache->merges, order->job->id, order->fence, own);
  return fail(EXHAUSTED, own ? "weights for its adapters are being made"
                             : "weights for another job's adapters are being made");
}

static enum status use_found(struct adapters_cache *cache, const struct adapters_order *order,
                             struct adapted *row, struct adapted **out) {
  if (row->adaptation != NULL) {
    *out = (struct adapted *)shelf_hold(&cache->made, &row->held);
    return OK;
  }
  return row->trouble != OK ? fail_field(row->trouble, row->field, "%s", row->reason)
                            : wait_for_merge(cache, order, true);
}

static enum status use(struct adapters_cache *cache, const struct adapters_order *order,
                       struct combination *combination, struct adapted **out) {
  struct adapted *found = (struct adapted *)shelf_find(&cache->made, is_combination, combination);
  if (found != NULL) {
    return use_found(cache, order, found, out);
  }
  const struct model *model = combination->resident->model;
  if (adaptation_is_quick(model, combination->use, (size_t)combination->count)) {
    return make_now(cache, combination, out);
  }
  if (merges_any(&cache->merges)) {
    return wait_for_merge(cache, order, false);
  }
  TRY(begin_merge(cache, combination));
  return wait_for_merge(cache, order, true);
}

enum status adapters_hold(struct adapters_cache *cache, const struct adapters_order *order,
                          struct adapted **out) {
  struct combination combination = {.resident = order->resident};
  if (order->job->n_adapter == 0) {
    *out = NULL;
    return OK;
  }
  enum status status = gather(cache, order, &combination);
  status = status == OK ? use(cache, order, &combination, out) : status;
  let_go_files(&combination);
  return status;
}

void adapters_release(struct adapted **pointer) {
  if (*pointer != NULL) {
    shelf_let_go(&(*pointer)->held);
    *pointer = NULL;
  }
}
