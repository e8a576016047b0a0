/* explanation.c - a table of state -> lines over the facts of the record. */
#include "broker/explanation.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "broker/reply.h"
#include "broker/serving.h"
#include "proto/job.h"

enum { REASONS_MAX = 10 };

struct story {
  struct turn *turn;
  const redisReply *facts;
  Darkroom__V1__Explanation *out;
};

static const redisReply *fact(const struct story *story, const char *name) {
  for (size_t i = 0; i + 1 < story->facts->elements; i += 2) {
    if (strcmp(reply_text(story->facts->element[i]), name) == 0) {
      return story->facts->element[i + 1];
    }
  }
  return NULL;
}

static uint64_t number(const struct story *story, const char *name) {
  const redisReply *value = fact(story, name);
  return value != NULL ? reply_number(value) : 0;
}

static const char *text(const struct story *story, const char *name) {
  const redisReply *value = fact(story, name);
  return value != NULL ? reply_text(value) : "";
}

static void say(struct story *story, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void say(struct story *story, const char *format, ...) {
  char line[640];
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(line, sizeof line, format, arguments);
  va_end(arguments);
  if (story->out->n_reason < REASONS_MAX) {
    story->out->reason[story->out->n_reason++] = turn_text(story->turn, "%s", line);
  }
}

static double seconds_until(const struct story *story, const char *name) {
  uint64_t then = number(story, name), now = number(story, "clk");
  return then > now ? (double)(then - now) / 1e3 : 0;
}

static double seconds_since(const struct story *story, const char *name) {
  uint64_t then = number(story, name), now = number(story, "now_us");
  return then != 0 && now > then ? (double)(now - then) / 1e6 : 0;
}

/* ---- what every unfinished job may have ------------------------------------------------------ */

static void say_history(struct story *story) {
  uint64_t fails = number(story, "fails"), crashes = number(story, "crashes"),
           handoffs = number(story, "handoffs"), losses = number(story, "losses");
  if (fails + crashes + handoffs + losses > 0) {
    say(story, "earlier attempts: %llu failed, %llu crashed alone, %llu lost, %llu handed back",
        (unsigned long long)fails, (unsigned long long)crashes, (unsigned long long)losses,
        (unsigned long long)handoffs);
  }
  if (losses > 0) {
    say(story, "it has lost an attempt, perhaps through its own fault: so it runs alone");
  }
  if (number(story, "requeues") > 0) {
    say(story, "an operator has requeued it from quarantine (%llu so far)",
        (unsigned long long)number(story, "requeues"));
  }
  if (text(story, "error_text")[0] != '\0') {
    say(story, "last error: %s", text(story, "error_text"));
  }
}

static void say_deadline(struct story *story) {
  if (fact(story, "deadline") != NULL) {
    say(story, "it expires in %.1f s unless it is started before",
        seconds_until(story, "deadline"));
  }
}

static void say_cancel(struct story *story) {
  if (fact(story, "cancel") != NULL) {
    say(story, "a cancel was asked for: the worker stops at its next step");
  }
}

/* ---- by state -------------------------------------------------------------------------------- */

/* The first of these that holds is the reason: nobody, nobody large enough, nobody free; else it is
 * only a matter of a worker asking. Live means ready: one that drains or has fallen silent takes
 * nothing. */
static void say_workers(struct story *story) {
  uint64_t workers = number(story, "workers"), slots = number(story, "slots"),
           held = number(story, "held");
  const char *model = text(story, "model");
  const struct fleet_model *known = fleet_find(&story->turn->fleet, model);
  if (workers == 0) {
    say(story, "no live worker has model %s", model);
  } else if (number(story, "able") == 0) {
    say(story, "none of the %llu workers with model %s has all that it names beside it",
        (unsigned long long)workers, model);
  } else if (known != NULL && known->workers > 0 && number(story, "side") > known->largest_side) {
    say(story, "no live worker takes %llu pixels of model %s: the largest takes %u",
        (unsigned long long)number(story, "side"), model, known->largest_side);
  } else if (held >= slots) {
    say(story, "all %llu workers with model %s are busy: %llu jobs in %llu slots",
        (unsigned long long)workers, model, (unsigned long long)held, (unsigned long long)slots);
  } else {
    say(story,
        "%llu workers have model %s, with %llu of %llu slots taken: it waits for one to ask for "
        "work of %llu pixels",
        (unsigned long long)workers, model, (unsigned long long)held, (unsigned long long)slots,
        (unsigned long long)number(story, "side"));
  }
}

/* Workers whose pictures cannot reach their store take no more than their spool holds. */
static void say_troubled(struct story *story) {
  uint64_t troubled = number(story, "troubled");
  if (troubled > 0) {
    say(story, "%llu of them cannot deliver and soon take nothing; worker %s says: %s",
        (unsigned long long)troubled, text(story, "trouble_of"), text(story, "trouble"));
  }
}

/* A worker with a cordoned device has told more slots than it fills. */
static void say_cordoned(struct story *story) {
  uint64_t cordoned = number(story, "cordoned");
  if (cordoned > 0) {
    say(story, "%llu of them %s a device that takes no jobs; worker %s has cordoned %s",
        (unsigned long long)cordoned, cordoned == 1 ? "has" : "have", text(story, "cordon_of"),
        text(story, "cordon"));
  }
}

/* Of the worker that has the job. */
static void say_trouble(struct story *story) {
  if (text(story, "trouble")[0] != '\0') {
    say(story, "its pictures wait in the spool of worker %s: %s", text(story, "trouble_of"),
        text(story, "trouble"));
  }
}

static void say_queued(struct story *story) {
  uint64_t class = number(story, "class"), level = number(story, "level");
  say(story, "queued: %llu jobs for the same model are ahead; %llu of class %s wait in all",
      (unsigned long long)number(story, "position"),
      (unsigned long long)number(story, "class_depth"),
      job_priority_name(
          (Darkroom__V1__Priority)(class + DARKROOM__V1__PRIORITY__PRIORITY_INTERACTIVE)));
  if (level < class) {
    say(story, "it has waited so long that it is served as class %s",
        job_priority_name(
            (Darkroom__V1__Priority)(level + DARKROOM__V1__PRIORITY__PRIORITY_INTERACTIVE)));
  }
  say_workers(story);
  say_troubled(story);
  say_cordoned(story);
  say_deadline(story);
  say_history(story);
}

static void say_assigned(struct story *story) {
  say(story, "given to worker %s, which has %.1f s to say that it has started",
      text(story, "worker"), seconds_until(story, "lease"));
  say_cancel(story);
  say_history(story);
}

static void say_running(struct story *story) {
  say(story, "running on worker %s for %.1f s, step %llu of %llu", text(story, "worker"),
      seconds_since(story, "started_us"), (unsigned long long)number(story, "step"),
      (unsigned long long)number(story, "steps"));
  say_trouble(story);
  if (fact(story, "lease") != NULL) {
    say(story, "its lease lasts %.1f s more unless the worker is heard",
        seconds_until(story, "lease"));
  }
  say_cancel(story);
  say_history(story);
}

static void say_delayed(struct story *story) {
  say(story, "delayed: it is tried again in %.1f s", seconds_until(story, "due"));
  say_workers(story);
  say_troubled(story);
  say_cordoned(story);
  say_deadline(story);
  say_history(story);
}

static void say_quarantined(struct story *story) {
  say(story, "it has crashed its workers too often while it ran alone, and is tried no more");
  say(story, "an operator can requeue or bury it for %.1f h; then it counts as failed",
      seconds_until(story, "quarantine") / 3600);
  say_history(story);
}

static void say_ended(struct story *story) {
  say(story, "it has ended: %s", job_state_name(story->out->state));
  if (story->out->state != DARKROOM__V1__JOB_STATE__JOB_STATE_SUCCEEDED) {
    say_history(story);
  }
}

/* By state; a state of the contract without a row would be a hole that explanation_write falls
 * into, so each has one. */
static void (*const tellers[])(struct story *story) = {
    [DARKROOM__V1__JOB_STATE__JOB_STATE_QUEUED] = say_queued,
    [DARKROOM__V1__JOB_STATE__JOB_STATE_ASSIGNED] = say_assigned,
    [DARKROOM__V1__JOB_STATE__JOB_STATE_RUNNING] = say_running,
    [DARKROOM__V1__JOB_STATE__JOB_STATE_DELAYED] = say_delayed,
    [DARKROOM__V1__JOB_STATE__JOB_STATE_SUCCEEDED] = say_ended,
    [DARKROOM__V1__JOB_STATE__JOB_STATE_FAILED] = say_ended,
    [DARKROOM__V1__JOB_STATE__JOB_STATE_CANCELLED] = say_ended,
    [DARKROOM__V1__JOB_STATE__JOB_STATE_EXPIRED] = say_ended,
    [DARKROOM__V1__JOB_STATE__JOB_STATE_QUARANTINED] = say_quarantined,
};

/* First, because a Redis that refuses something explains more than the state of any job. */
static void say_redis(struct story *story) {
  char line[256];
  if (!redis_ready(story->turn->redis, line, sizeof line)) {
    say(story, "%s", line);
  }
}

enum status explanation_write(struct turn *turn, const redisReply *facts,
                              Darkroom__V1__Explanation *out) {
  struct story story = {turn, facts, out};
  Darkroom__V1__JobState state = reply_state(text(&story, "state"));
  if (state == 0) {
    return fail(BROKEN, "a record has the state %s", text(&story, "state"));
  }
  char **reasons = arena_take(turn->arena, REASONS_MAX * sizeof *reasons);
  if (reasons == NULL) {
    return EXHAUSTED;
  }
  out->state = state;
  out->has_state = true;
  out->reason = reasons;
  if (tellers[state] != say_ended) {
    say_redis(&story);
  }
  tellers[state](&story);
  return OK;
}
