/* beat.c - what a beat tells of each job. */
#include "worker/beat.h"

#include <string.h>

#include "proto/job.h"
#include "worker/device_report.h"
#include "worker/previews.h"

/* One beat's messages, from the scratch arena: it names up to HELD_MAX jobs with all their fresh
 * pictures. */
struct beat {
  Darkroom__V1__Beat message;
  Darkroom__V1__Progress row[HELD_MAX];
  Darkroom__V1__Progress *rows[HELD_MAX];
  struct preview_turn turn[HELD_MAX];
};

static Darkroom__V1__Artifact *image_message(struct arena *arena, const struct held *held,
                                             uint32_t index) {
  Darkroom__V1__Artifact *image = arena_take(arena, sizeof *image);
  if (image == NULL) {
    return NULL;
  }
  darkroom__v1__artifact__init(image);
  const struct picture *picture = &held->picture[index];
  image->has_index = image->has_bytes = image->has_seed = image->has_width = image->has_height = 1;
  image->has_kind = 1; /* so far they are all pictures */
  image->index = index;
  image->url = picture->url;
  image->sha256 = picture->sha256;
  image->bytes = picture->bytes;
  image->seed = held->job->seed + index;
  image->width = job_picture_width(held->job);
  image->height = job_picture_height(held->job);
  return image;
}

size_t beat_images(struct arena *arena, struct held *held, bool fresh,
                   Darkroom__V1__Artifact ***out) {
  Darkroom__V1__Artifact **list = arena_take(arena, held->images * sizeof *list);
  size_t count = 0;
  for (uint32_t i = 0; list != NULL && i < held->images; i++) {
    struct picture *picture = &held->picture[i];
    if (picture->state != PICTURE_STORED || (fresh && picture->told)) {
      continue;
    }
    list[count] = image_message(arena, held, i);
    count += list[count] != NULL;
    picture->told = true;
  }
  *out = list;
  return count;
}

static void add_progress(struct worker *worker, struct beat *beat, struct held *held) {
  size_t at = beat->message.n_progress++;
  Darkroom__V1__Progress *row = &beat->row[at];
  darkroom__v1__progress__init(row);
  row->id = held->id;
  row->tenant = held->job->tenant;
  row->has_fence = row->has_step = row->has_steps = 1;
  row->fence = held->fence;
  row->step = held->step;
  row->steps = held->steps;
  row->n_image = beat_images(worker->scratch, held, true, &row->image);
  beat->turn[at] = (struct preview_turn){held, row};
  beat->rows[at] = row;
}

static void add_previews(struct worker *worker, struct beat *beat) {
  size_t count = beat->message.n_progress;
  previews_share(worker, beat->turn, count);
  for (size_t i = 0; i < count; i++) {
    beat->turn[i].held->news = previews_waiting(beat->turn[i].held);
  }
}

enum { DEVICES_AGAIN_MS = 5000 }; /* what was lost on its way is told again */

static bool devices_due(const struct worker *worker, int64_t now_ms) {
  return device_report_key(worker) != worker->devices_said ||
         now_ms - worker->devices_said_ms >= DEVICES_AGAIN_MS;
}

static void add_devices(struct worker *worker, struct beat *beat, int64_t now_ms) {
  if (devices_due(worker, now_ms)) {
    beat->message.devices = device_report(worker, worker->scratch);
    worker->devices_said = device_report_key(worker);
    worker->devices_said_ms = now_ms;
  }
}

static void say_beat(struct worker *worker, uint64_t generation, int64_t now_ms) {
  arena_drop(worker->scratch);
  struct beat *beat = arena_take_zeroed(worker->scratch, sizeof *beat);
  if (beat == NULL) {
    return;
  }
  darkroom__v1__beat__init(&beat->message);
  beat->message.worker = (char *)worker->options->name;
  beat->message.has_generation = 1;
  beat->message.generation = generation;
  beat->message.progress = beat->rows;
  beat->message.has_draining = beat->message.draining = worker->draining;
  trouble_write(&worker->store, &worker->spool_watch, worker->trouble_said);
  beat->message.trouble = worker->trouble_said[0] != '\0' ? worker->trouble_said : NULL;
  add_devices(worker, beat, now_ms);
  struct held *held = NULL;
  for (size_t at = 0; (held = held_next(&worker->held, &at)) != NULL;) {
    if (held->state != HELD_LEAVING && held->generation == generation) {
      add_progress(worker, beat, held);
    }
  }
  add_previews(worker, beat);
  link_ask(&worker->link, WIRE_BEAT, &beat->message.base);
  worker->last_beat_ms = now_ms;
  arena_drop(worker->scratch);
}

static bool any_news(struct worker *worker) {
  char trouble[TROUBLE_BYTES_MAX];
  trouble_write(&worker->store, &worker->spool_watch, trouble);
  if (strcmp(trouble, worker->trouble_said) != 0 ||
      device_report_key(worker) != worker->devices_said) {
    return true;
  }
  struct held *held = NULL;
  for (size_t at = 0; (held = held_next(&worker->held, &at)) != NULL;) {
    if (held->news && held->state != HELD_LEAVING) {
      return true;
    }
  }
  return false;
}

int64_t beat_due_ms(struct worker *worker) {
  int64_t wait = any_news(worker) ? worker->options->progress_ms : worker->beat_ms;
  return worker->last_beat_ms == 0
             ? 0
             : worker->last_beat_ms + (wait < worker->beat_ms ? wait : worker->beat_ms);
}

void beat_tend(struct worker *worker, int64_t now_ms) {
  uint64_t beating = worker->resuming ? worker->leftover_generation : worker->generation;
  if (beating == 0 || beat_due_ms(worker) > now_ms) {
    return;
  }
  bool quiet = !any_news(worker);
  say_beat(worker, beating, now_ms);
  worker->claim_stale =
      worker->claim_stale || quiet; /* a broker that restarted has forgotten our credits */
}
