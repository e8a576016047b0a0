/* held.c - the table: a fixed number of rows, searched from the front. */
#include "worker/held.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "proto/job.h"

#define HELD_ARENA_BYTES_MAX ((size_t)UNPACK_BYTES_MAX + 1024 * 1024)

static struct held *free_row(struct held_table *table) {
  for (size_t i = 0; i < HELD_MAX; i++) {
    if (table->row[i].state == HELD_FREE) {
      return &table->row[i];
    }
  }
  fail(EXHAUSTED, "%d jobs are held already", HELD_MAX);
  return NULL;
}

static enum status fill(struct held *held, const uint8_t *assign, size_t bytes) {
  TRY(arena_open(NULL, HELD_ARENA_BYTES_MAX, &held->arena));
  bytes_open(&held->assign, FRAME_BYTES_MAX);
  TRY(bytes_append(&held->assign, assign, bytes));
  ProtobufCMessage *message = NULL;
  TRY(wire_unpack_type(&darkroom__v1__assign__descriptor, assign, bytes, held->arena, &message,
                       NULL));
  const Darkroom__V1__Assign *read = (const Darkroom__V1__Assign *)message;
  if (read->job == NULL || read->job->id == NULL || strlen(read->job->id) >= sizeof held->id ||
      !read->has_fence || read->job->images < 1 || read->job->images > JOB_IMAGES_MAX) {
    return fail(BAD_INPUT, "an assignment without job, id, images or fence");
  }
  held->job = read->job;
  snprintf(held->id, sizeof held->id, "%s", read->job->id);
  held->fence = read->fence;
  held->images = read->job->images;
  held->picture = arena_take_zeroed(held->arena, held->images * sizeof held->picture[0]);
  if (held->picture == NULL) {
    return EXHAUSTED;
  }
  for (uint32_t i = 0; i < held->images; i++) {
    bytes_open(&held->picture[i].png, IMAGE_FILE_BYTES_MAX);
    bytes_open(&held->picture[i].preview.jpeg, PREVIEW_BYTES_MAX);
  }
  darkroom__v1__timings__init(&held->timings);
  return OK;
}

struct held *held_take(struct held_table *table, const uint8_t *assign, size_t bytes) {
  struct held *held = free_row(table);
  if (held == NULL) {
    return NULL;
  }
  *held =
      (struct held){.state = HELD_ADMITTED, .inputs = {.descriptor = -1, .deadline_ms = INT64_MAX}};
  if (fill(held, assign, bytes) != OK) {
    held_drop(held);
    return NULL;
  }
  return held;
}

void held_warn(struct held *held, const char *text) {
  for (size_t i = 0; i < held->warning_count; i++) {
    if (strncmp(held->warning[i], text, JOB_WARNING_BYTES_MAX) == 0) {
      return;
    }
  }
  char *kept = held->warning_count < JOB_WARNINGS_MAX
                   ? arena_copy_text(held->arena, text, strnlen(text, JOB_WARNING_BYTES_MAX))
                   : NULL;
  if (kept != NULL) {
    held->warning[held->warning_count++] = kept;
  }
}

void held_drop_inputs(struct held *held) {
  if (held->inputs.descriptor >= 0) {
    close(held->inputs.descriptor);
  }
  held->inputs.descriptor = -1;
  held->inputs.bytes = 0;
  held->inputs.count = 0;
}

void held_drop(struct held *held) {
  held_drop_inputs(held);
  for (uint32_t i = 0; held->picture != NULL && i < held->images; i++) {
    bytes_close(&held->picture[i].png);
    bytes_close(&held->picture[i].preview.jpeg);
  }
  bytes_close(&held->assign);
  arena_close(&held->arena);
  *held = (struct held){.state = HELD_FREE};
}

struct held *held_next(struct held_table *table, size_t *at) {
  while (*at < HELD_MAX) {
    struct held *held = &table->row[(*at)++];
    if (held->state != HELD_FREE) {
      return held;
    }
  }
  return NULL;
}

struct held *held_find(struct held_table *table, const char *id, uint64_t fence) {
  struct held *held = NULL;
  for (size_t at = 0; id != NULL && (held = held_next(table, &at)) != NULL;) {
    if (held->fence == fence && strcmp(held->id, id) == 0) {
      return held;
    }
  }
  return NULL;
}

static bool same_tenant(const struct held *held, const char *tenant) {
  return tenant == NULL || held->job->tenant == NULL || strcmp(held->job->tenant, tenant) == 0;
}

struct held *held_find_id(struct held_table *table, const char *tenant, const char *id) {
  struct held *held = NULL;
  for (size_t at = 0; (held = held_next(table, &at)) != NULL;) {
    if (held->state != HELD_LEAVING && strcmp(held->id, id) == 0 && same_tenant(held, tenant)) {
      return held;
    }
  }
  return NULL;
}

struct held *held_find_offer(struct held_table *table, uint64_t correlation) {
  struct held *held = NULL;
  for (size_t at = 0; (held = held_next(table, &at)) != NULL;) {
    if (held->offer.verb != 0 && held->offer.correlation == correlation) {
      return held;
    }
  }
  return NULL;
}

size_t held_count(const struct held_table *table) {
  size_t count = 0;
  for (size_t i = 0; i < HELD_MAX; i++) {
    count += table->row[i].state != HELD_FREE;
  }
  return count;
}

bool held_in_engine(const struct held *held) {
  return held->state == HELD_ADMITTED || held->state == HELD_RUNNING;
}

bool held_all_stored(const struct held *held) {
  for (uint32_t i = 0; i < held->images; i++) {
    if (held->picture[i].state != PICTURE_STORED) {
      return false;
    }
  }
  return true;
}

/* A job that is handed in or given up needs the spool no more. */
static bool uses_spool(const struct held *held) {
  return held->state == HELD_FETCHING || held->state == HELD_WAITING || held_in_engine(held) ||
         held->state == HELD_STORING;
}

static bool made(const struct picture *picture) {
  return picture->state == PICTURE_MAKING || picture->state == PICTURE_WAITING ||
         picture->state == PICTURE_STORING;
}

static void add_use(const struct held *held, bool to_come, struct spool_use *use) {
  const Darkroom__V1__Job *job = held->job;
  uint64_t pixels_bytes =
      job != NULL ? (uint64_t)job_picture_width(job) * job_picture_height(job) * 3 : 0;
  for (uint32_t i = 0; held->picture != NULL && i < held->images; i++) {
    const struct picture *picture = &held->picture[i];
    if (made(picture) || (to_come && picture->state == PICTURE_MISSING)) {
      use->pictures++;
      use->bytes += picture->bytes > 0 ? picture->bytes : pixels_bytes;
    }
  }
}

static struct spool_use total(const struct held_table *table, bool to_come) {
  struct spool_use use = {0};
  for (size_t i = 0; i < HELD_MAX; i++) {
    if (uses_spool(&table->row[i])) {
      add_use(&table->row[i], to_come, &use);
    }
  }
  return use;
}

struct spool_use held_unstored_total(const struct held_table *table) {
  return total(table, false);
}

bool held_fetches_slowly(const struct held *held, int64_t now_ms) {
  const struct held_inputs *inputs = &held->inputs;
  return held->state == HELD_FETCHING && inputs->begun_ms != 0 &&
         now_ms - inputs->begun_ms >= HELD_SLOW_MS;
}

struct spool_use held_expected_total(const struct held_table *table) {
  return total(table, true);
}

static bool any_in_memory(const struct held *held) {
  for (uint32_t i = 0; held->picture != NULL && i < held->images; i++) {
    const struct picture *picture = &held->picture[i];
    bool waits = picture->state == PICTURE_WAITING || picture->state == PICTURE_STORING;
    if (waits && !picture->spooled) {
      return true;
    }
  }
  return false;
}

bool held_any_in_memory(const struct held_table *table) {
  for (size_t i = 0; i < HELD_MAX; i++) {
    if (uses_spool(&table->row[i]) && any_in_memory(&table->row[i])) {
      return true;
    }
  }
  return false;
}
