/* leftovers.c - what an earlier life of this worker finished and could not hand in.
 *
 * A job whose engine was through when the worker died has "complete" in its spool folder. It is
 * held again under the generation of that life, whose leases live until we say HELLO: so it is
 * stored and handed in first. If its fence has died meanwhile, the broker says STALE and the folder
 * goes.
 */
#include "worker/leftovers.h"

#include <string.h>

#include "base/clock.h"
#include "monitoring/log.h"
#include "worker/media/spool.h"

static enum status read_complete(struct held *held, const struct spool_leftover *leftover) {
  ProtobufCMessage *message = NULL;
  TRY(wire_unpack_type(&darkroom__v1__complete__descriptor, leftover->complete.data,
                       leftover->complete.length, held->arena, &message, NULL));
  const Darkroom__V1__Complete *complete = (const Darkroom__V1__Complete *)message;
  if (complete->id == NULL || strcmp(complete->id, held->id) != 0 ||
      complete->fence != held->fence) {
    return fail(BAD_INPUT, "assign and complete are of different attempts");
  }
  for (size_t i = 0; i < complete->n_image; i++) {
    const Darkroom__V1__Artifact *image = complete->image[i];
    if (image->index < held->images) {
      held->picture[image->index].sha256 = image->sha256; /* in the same arena */
      held->picture[image->index].bytes = image->bytes;
    }
  }
  held->generation = complete->generation;
  if (complete->timings != NULL) {
    held->timings = *complete->timings;
    held->timings.store_us = 0;
  }
  return OK;
}

/* "complete" only says that the engine was through: the last pictures may not have reached the
 * disk. */
static enum status all_pictures_there(const struct worker *worker, const struct held *held) {
  struct attempt attempt = {held->id, held->fence};
  for (uint32_t i = 0; i < held->images; i++) {
    if (!spool_has_picture(worker->options->spool, attempt, i)) {
      return fail(UNAVAILABLE, "picture %u is not there", i);
    }
  }
  return OK;
}

/* Worth nothing: the job runs again anyway. */
static void give_up(const struct worker *worker, const struct spool_leftover *leftover) {
  log_warning("leftover_dropped", log_text("job", leftover->id), log_text("reason", fail_reason()));
  if (spool_drop(worker->options->spool, (struct attempt){leftover->id, leftover->fence}) != OK) {
    log_warning("not_dropped", log_text("job", leftover->id), log_text("reason", fail_reason()));
  }
}

static void each(void *context, const struct spool_leftover *leftover) {
  struct worker *worker = context;
  struct held *held = held_take(&worker->held, leftover->assign.data, leftover->assign.length);
  bool same = held != NULL && strcmp(held->id, leftover->id) == 0 && held->fence == leftover->fence;
  if (!same || read_complete(held, leftover) != OK || all_pictures_there(worker, held) != OK) {
    give_up(worker, leftover);
    if (held != NULL) {
      held_drop(held);
    }
    return;
  }
  held->state = HELD_STORING;
  held->leftover = held->finished = held->sealed = true;
  held->received = held->images;
  held->step = held->steps = held->job->steps * held->images;
  for (uint32_t i = 0; i < held->images; i++) {
    held->picture[i].state = PICTURE_WAITING;
    held->picture[i].spooled = true;
  }
  if (held->generation > worker->leftover_generation) {
    worker->leftover_generation = held->generation;
  }
  worker->resuming = true;
  log_event("leftover", log_text("job", held->id), log_count("fence", held->fence),
            log_count("images", held->images));
}

enum status leftovers_read(struct worker *worker) {
  TRY(spool_walk(worker->options->spool, each, worker));
  worker->resume_until_ms = clock_ms() + RESUME_MS;
  return OK;
}
