/* offers.c - what we say until it is acknowledged: HELLO, BYE, and of each job START, COMPLETE,
 * FAIL or RELEASE. */
#include "worker/offers.h"

#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/version.h"
#include "monitoring/log.h"
#include "worker/beat.h"
#include "worker/claim.h"
#include "worker/extras.h"

enum { GREET_LOOK_MS = 200 }; /* a HELLO that must wait for something else is looked at again */

void offers_restart(struct worker *worker) {
  struct held *held = NULL;
  for (size_t at = 0; (held = held_next(&worker->held, &at)) != NULL;) {
    held->offer.due_ms = 0;
    held->news = true;
  }
  worker->hello.due_ms = 0;
  worker->bye.due_ms = 0;
  worker->claim_due_ms = 0;
  worker->last_beat_ms = 0;
  worker->devices_said =
      0; /* the next broker's queue is the same; its news need not have got there */
  worker->claim_stale = true;
}

/* HELLO ------------------------------------------------------------------------------------- */

struct hello {
  Darkroom__V1__Hello message;
  Darkroom__V1__ModelInfo info[MODELS_MAX];
  Darkroom__V1__ModelInfo *infos[MODELS_MAX];
  char *devices[DEVICES_MAX];
  Darkroom__V1__ExtraInfo extra[EXTRAS_MAX];
  Darkroom__V1__ExtraInfo *extras[EXTRAS_MAX];
};

static bool listed(const struct hello *hello, const char *id) {
  for (size_t i = 0; i < hello->message.n_model; i++) {
    if (strcmp(hello->info[i].id, id) == 0) {
      return true;
    }
  }
  return false;
}

static void list_model(struct hello *hello, const struct child_model *model) {
  size_t at = hello->message.n_model;
  if (at == MODELS_MAX || listed(hello, model->id)) {
    return;
  }
  darkroom__v1__model_info__init(&hello->info[at]);
  hello->info[at].id = (char *)model->id;
  hello->info[at].sha256 = (char *)model->sha256;
  hello->info[at].family = (char *)model->family;
  hello->info[at].has_default_side = hello->info[at].has_max_side = 1;
  hello->info[at].default_side = model->default_side;
  hello->info[at].max_side = model->max_side;
  hello->infos[at] = &hello->info[at];
  hello->message.n_model++;
}

static void say_hello(struct worker *worker, int64_t now_ms) {
  struct hello hello = {.message = DARKROOM__V1__HELLO__INIT};
  uint32_t slots = 0;
  for (size_t i = 0; i < worker->children.count; i++) {
    const struct child *child = &worker->children.child[i];
    if (child->state != CHILD_READY) {
      continue;
    }
    slots += child->slots;
    hello.devices[hello.message.n_device++] = (char *)child->device;
    for (size_t m = 0; m < child->model_count; m++) {
      list_model(&hello, &child->model[m]);
    }
  }
  hello.message.n_extra = extras_list(worker, hello.extra, hello.extras);
  hello.message.extra = hello.extras;
  const struct models_row *standard = models_table_standard(worker->table);
  hello.message.worker = (char *)worker->options->name;
  hello.message.version = (char *)DARKROOM_VERSION;
  hello.message.default_model = standard != NULL ? (char *)standard->id : NULL;
  hello.message.has_slots = 1;
  hello.message.slots = slots;
  hello.message.device = hello.devices;
  hello.message.model = hello.infos;
  if (worker->identity.token[0] != '\0') {
    hello.message.token = (char *)worker->identity.token;
    hello.message.host = (char *)worker->identity.host;
  }
  offer_said(&worker->hello, link_ask(&worker->link, WIRE_HELLO, &hello.message.base), now_ms);
}

/* per job -------------------------------------------------------------------------------------- */

/* The four messages name their attempt alike, in types of their own. */
#define NAME_ATTEMPT(message, from, held)               \
  do {                                                  \
    (message).worker = (char *)(from)->options->name;   \
    (message).has_generation = (message).has_fence = 1; \
    (message).generation = (held)->generation;          \
    (message).fence = (held)->fence;                    \
    (message).id = (held)->id;                          \
    (message).tenant = (held)->job->tenant;             \
  } while (0)

static uint64_t say_complete(struct worker *worker, struct held *held) {
  Darkroom__V1__Complete message = DARKROOM__V1__COMPLETE__INIT;
  NAME_ATTEMPT(message, worker, held);
  message.timings = &held->timings;
  arena_drop(worker->scratch);
  message.n_image = beat_images(worker->scratch, held, false, &message.image);
  message.n_warning = held->warning_count;
  message.warning = held->warning;
  held->complete_said = true;
  return link_ask(&worker->link, WIRE_COMPLETE, &message.base);
}

static uint64_t say_fail(struct worker *worker, struct held *held) {
  Darkroom__V1__Fail message = DARKROOM__V1__FAIL__INIT;
  Darkroom__V1__Error error = DARKROOM__V1__ERROR__INIT;
  NAME_ATTEMPT(message, worker, held);
  message.has_kind = error.has_code = 1;
  message.kind = held->fail_kind;
  message.error = &error;
  error.code = held->error_code;
  error.message = held->error_text;
  error.field = held->error_field[0] != '\0' ? held->error_field : NULL;
  return link_ask(&worker->link, WIRE_FAIL, &message.base);
}

static uint64_t say_start(struct worker *worker, struct held *held) {
  Darkroom__V1__Start message = DARKROOM__V1__START__INIT;
  NAME_ATTEMPT(message, worker, held);
  return link_ask(&worker->link, WIRE_START, &message.base);
}

static uint64_t say_release(struct worker *worker, struct held *held) {
  Darkroom__V1__Release message = DARKROOM__V1__RELEASE__INIT;
  NAME_ATTEMPT(message, worker, held);
  return link_ask(&worker->link, WIRE_RELEASE, &message.base);
}

void offers_give_back(struct worker *worker, const Darkroom__V1__Assign *assign) {
  struct held passing = {
      .generation = worker->generation, .fence = assign->fence, .job = assign->job};
  snprintf(passing.id, sizeof passing.id, "%s", assign->job->id);
  say_release(worker, &passing);
}

static const struct {
  enum wire_verb verb;
  uint64_t (*say)(struct worker *worker, struct held *held);
} sayings[] = {{WIRE_START, say_start},
               {WIRE_COMPLETE, say_complete},
               {WIRE_FAIL, say_fail},
               {WIRE_RELEASE, say_release}};

static void say(struct worker *worker, struct held *held, int64_t now_ms) {
  for (size_t i = 0; i < sizeof sayings / sizeof sayings[0]; i++) {
    if (sayings[i].verb == held->offer.verb) {
      offer_said(&held->offer, sayings[i].say(worker, held), now_ms);
    }
  }
}

static void say_bye(struct worker *worker, int64_t now_ms) {
  Darkroom__V1__Bye message = DARKROOM__V1__BYE__INIT;
  message.worker = (char *)worker->options->name;
  message.has_generation = 1;
  message.generation = worker->generation;
  offer_said(&worker->bye, link_ask(&worker->link, WIRE_BYE, &message.base), now_ms);
}

/* the turn's part ------------------------------------------------------------------------------ */

/* Leftovers are handed in under their own generation; HELLO would close their leases, so it waits
 * for them a while. */
static void resume_tend(struct worker *worker, int64_t now_ms) {
  bool any = false;
  struct held *held = NULL;
  for (size_t at = 0; (held = held_next(&worker->held, &at)) != NULL;) {
    any = any || (held->leftover && held->state != HELD_LEAVING);
  }
  if (worker->store.away) { /* they are waited for as long as the store is: HELLO would have them
                               made again */
    worker->resume_until_ms = now_ms + RESUME_MS;
  }
  if (!any || now_ms >= worker->resume_until_ms) {
    worker->resuming = false;
  }
}

void offers_tend(struct worker *worker, int64_t now_ms) {
  if (worker->resuming) {
    resume_tend(worker, now_ms);
  }
  bool may_greet = !worker->resuming && worker->generation == 0 && !worker->draining &&
                   children_settled(&worker->children) && children_ready(&worker->children) > 0;
  if (may_greet && worker->hello.due_ms <= now_ms) {
    say_hello(worker, now_ms);
  }
  beat_tend(worker, now_ms);
  struct held *held = NULL;
  for (size_t at = 0; (held = held_next(&worker->held, &at)) != NULL;) {
    if (held->offer.verb != 0 && held->offer.due_ms <= now_ms) {
      say(worker, held, now_ms);
    }
  }
  if (worker->bye.verb != 0 && worker->bye.due_ms <= now_ms) {
    say_bye(worker, now_ms);
  }
  claim_tend(worker);
}

int64_t offers_due_ms(struct worker *worker, int64_t now_ms) {
  int64_t due = worker->resuming ? worker->resume_until_ms : INT64_MAX;
  if (worker->generation != 0 || worker->resuming) {
    int64_t beat = beat_due_ms(worker);
    due = beat < due ? beat : due;
  } else if (children_ready(&worker->children) > 0 && worker->hello.due_ms < due) {
    due = worker->hello.due_ms > now_ms ? worker->hello.due_ms : now_ms + GREET_LOOK_MS;
  }
  if (worker->claim_due_ms > now_ms && worker->claim_due_ms < due) {
    due = worker->claim_due_ms;
  }
  struct held *held = NULL;
  for (size_t at = 0; (held = held_next(&worker->held, &at)) != NULL;) {
    due = held->offer.verb != 0 && held->offer.due_ms < due ? held->offer.due_ms : due;
  }
  return worker->bye.verb != 0 && worker->bye.due_ms < due ? worker->bye.due_ms : due;
}
