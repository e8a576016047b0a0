/* offers.c - what we say: HELLO, CLAIM, BEAT, and per job START, COMPLETE, FAIL or RELEASE until it
 * is acknowledged. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>

#include "base/clock.h"
#include "base/version.h"
#include "monitoring/log.h"
#include "worker/worker.h"

enum {
  ANSWER_MS = 2000, /* an offer that is not answered by then is said again */
  RETRY_FIRST_MS = 200,
  RETRY_MAX_MS = 5000,
  HELD_SPARE = 8,        /* rows kept free for what was pushed before our last CLAIM was heard */
  PREFETCH_US = 1500000, /* a job is fetched this long before a slot falls free */
};

int64_t jitter_ms(int64_t max_ms) {
  uint64_t random = 0;
  if (max_ms <= 0 || getrandom(&random, sizeof random, GRND_NONBLOCK) != (ssize_t)sizeof random) {
    return max_ms > 0 ? max_ms / 2 : 0;
  }
  return (int64_t)(random % (uint64_t)(max_ms + 1));
}

void offer_open(struct offer *offer, enum wire_verb verb) { *offer = (struct offer){.verb = verb}; }

void offer_again(struct offer *offer, int64_t now_ms, uint64_t at_least_ms) {
  int64_t wait = RETRY_FIRST_MS;
  for (int i = 1; i < offer->tries && wait < RETRY_MAX_MS; i++) {
    wait *= 2;
  }
  wait = wait < RETRY_MAX_MS ? wait : RETRY_MAX_MS;
  if (at_least_ms < RETRY_MAX_MS && wait < (int64_t)at_least_ms) {
    wait = (int64_t)at_least_ms;
  }
  offer->due_ms = now_ms + wait / 2 + jitter_ms(wait / 2);
}

static void offer_said(struct offer *offer, uint64_t correlation, int64_t now_ms) {
  offer->correlation = correlation;
  offer->tries++;
  offer->due_ms = now_ms + ANSWER_MS;
}

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
  worker->claim_stale = true;
}

/* HELLO ------------------------------------------------------------------------------------- */

struct hello {
  Darkroom__V1__Hello message;
  Darkroom__V1__ModelInfo info[MODELS_MAX];
  Darkroom__V1__ModelInfo *infos[MODELS_MAX];
  char *devices[DEVICES_MAX];
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
  const struct models_row *standard = models_table_standard(worker->table);
  hello.message.worker = (char *)worker->options->name;
  hello.message.version = (char *)DARKROOM_VERSION;
  hello.message.default_model = standard != NULL ? (char *)standard->id : NULL;
  hello.message.has_slots = 1;
  hello.message.slots = slots;
  hello.message.device = hello.devices;
  hello.message.model = hello.infos;
  offer_said(&worker->hello, link_ask(&worker->link, WIRE_HELLO, &hello.message.base), now_ms);
}

/* CLAIM ------------------------------------------------------------------------------------- */

static bool taking(const struct worker *worker) {
  return worker->generation != 0 && !worker->draining && !worker->store.refused &&
         pictures_unstored(worker) < (size_t)worker->options->spool_images &&
         held_count(&worker->held) < HELD_MAX - HELD_SPARE;
}

/* A job of this engine ends within PREFETCH_US: the next one may be on its way already. */
static bool soon_free(const struct worker *worker, size_t index) {
  uint64_t turn_us = child_turn_median_us(&worker->children.child[index]);
  for (size_t i = 0; i < HELD_MAX; i++) {
    const struct held *held = &worker->held.row[i];
    if (held->state == HELD_RUNNING && held->child == index && turn_us > 0 &&
        (held->steps - held->step) * turn_us < PREFETCH_US) {
      return true;
    }
  }
  return false;
}

static uint32_t child_credits(const struct worker *worker, size_t index) {
  int free_slots = child_free_slots(worker, index);
  if (free_slots > 0) {
    return (uint32_t)free_slots;
  }
  return free_slots == 0 && soon_free(worker, index) ? 1 : 0;
}

static void credit_add(struct credit *credits, size_t *count, const struct child_model *model,
                       uint32_t jobs) {
  size_t at = 0;
  while (at < *count && strcmp(credits[at].model, model->id) != 0) {
    at++;
  }
  if (at == MODELS_MAX) {
    return;
  }
  if (at == *count) {
    credits[(*count)++] = (struct credit){.model = model->id, .max_side = model->max_side};
  }
  credits[at].jobs += jobs;
  credits[at].max_side =
      model->max_side < credits[at].max_side ? model->max_side : credits[at].max_side;
}

static size_t wanted(const struct worker *worker, struct credit credits[MODELS_MAX]) {
  size_t count = 0;
  for (size_t i = 0; i < worker->children.count; i++) {
    const struct child *child = &worker->children.child[i];
    uint32_t jobs = child->state == CHILD_READY && taking(worker) ? child_credits(worker, i) : 0;
    for (size_t m = 0; child->state == CHILD_READY && m < child->model_count; m++) {
      credit_add(credits, &count, &child->model[m], jobs);
    }
  }
  return count;
}

static bool same_as_said(const struct worker *worker, const struct credit *credits, size_t count) {
  if (count != worker->said_count) {
    return false;
  }
  for (size_t i = 0; i < count; i++) {
    if (strcmp(credits[i].model, worker->said[i].model) != 0 ||
        credits[i].jobs != worker->said[i].jobs) {
      return false;
    }
  }
  return true;
}

static void say_claim(struct worker *worker, const struct credit *credits, size_t count) {
  Darkroom__V1__Credit row[MODELS_MAX];
  Darkroom__V1__Credit *rows[MODELS_MAX];
  for (size_t i = 0; i < count; i++) {
    darkroom__v1__credit__init(&row[i]);
    row[i].model = (char *)credits[i].model;
    row[i].has_jobs = row[i].has_max_side = 1;
    row[i].jobs = credits[i].jobs;
    row[i].max_side = credits[i].max_side;
    rows[i] = &row[i];
  }
  Darkroom__V1__Claim claim = DARKROOM__V1__CLAIM__INIT;
  claim.worker = (char *)worker->options->name;
  claim.has_generation = 1;
  claim.generation = worker->generation;
  claim.n_credit = count;
  claim.credit = rows;
  worker->claim_correlation = link_tell(&worker->link, WIRE_CLAIM, &claim.base);
  memcpy(worker->said, credits, count * sizeof credits[0]);
  worker->said_count = count;
  worker->claim_stale = false;
}

void claim_tend(struct worker *worker) {
  if (worker->generation == 0 || worker->resuming || clock_ms() < worker->claim_due_ms) {
    return;
  }
  struct credit credits[MODELS_MAX];
  size_t count = wanted(worker, credits);
  if (worker->claim_stale || !same_as_said(worker, credits, count)) {
    say_claim(worker, credits, count);
  }
}

/* BEAT -------------------------------------------------------------------------------------- */

/* One beat's messages, from the scratch arena: it names up to HELD_MAX jobs with all their fresh
 * pictures. */
struct beat {
  Darkroom__V1__Beat message;
  Darkroom__V1__Progress row[HELD_MAX];
  Darkroom__V1__Progress *rows[HELD_MAX];
};

static Darkroom__V1__Image *image_message(struct arena *arena, const struct held *held,
                                          uint32_t index) {
  Darkroom__V1__Image *image = arena_take(arena, sizeof *image);
  if (image == NULL) {
    return NULL;
  }
  darkroom__v1__image__init(image);
  const struct picture *picture = &held->picture[index];
  image->has_index = image->has_bytes = image->has_seed = image->has_width = image->has_height = 1;
  image->index = index;
  image->url = picture->url;
  image->sha256 = picture->sha256;
  image->bytes = picture->bytes;
  image->seed = held->job->seed + index;
  image->width = held->job->width;
  image->height = held->job->height;
  return image;
}

/* The stored pictures; only those not told yet when fresh. */
static size_t list_images(struct arena *arena, struct held *held, bool fresh,
                          Darkroom__V1__Image ***out) {
  Darkroom__V1__Image **list = arena_take(arena, held->images * sizeof *list);
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
  row->has_fence = row->has_step = row->has_steps = 1;
  row->fence = held->fence;
  row->step = held->step;
  row->steps = held->steps;
  row->n_image = list_images(worker->scratch, held, true, &row->image);
  beat->rows[at] = row;
  held->news = false;
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
  struct held *held = NULL;
  for (size_t at = 0; (held = held_next(&worker->held, &at)) != NULL;) {
    if (held->state != HELD_LEAVING && held->generation == generation) {
      add_progress(worker, beat, held);
    }
  }
  link_ask(&worker->link, WIRE_BEAT, &beat->message.base);
  worker->last_beat_ms = now_ms;
  arena_drop(worker->scratch);
}

static bool any_news(struct worker *worker) {
  struct held *held = NULL;
  for (size_t at = 0; (held = held_next(&worker->held, &at)) != NULL;) {
    if (held->news && held->state != HELD_LEAVING) {
      return true;
    }
  }
  return false;
}

static int64_t beat_due_ms(struct worker *worker) {
  int64_t wait = any_news(worker) ? worker->options->progress_ms : worker->beat_ms;
  return worker->last_beat_ms == 0
             ? 0
             : worker->last_beat_ms + (wait < worker->beat_ms ? wait : worker->beat_ms);
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
  } while (0)

static uint64_t say_complete(struct worker *worker, struct held *held) {
  Darkroom__V1__Complete message = DARKROOM__V1__COMPLETE__INIT;
  NAME_ATTEMPT(message, worker, held);
  message.timings = &held->timings;
  arena_drop(worker->scratch);
  message.n_image = list_images(worker->scratch, held, false, &message.image);
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

void offer_back(struct worker *worker, const Darkroom__V1__Assign *assign) {
  struct held passing = {.generation = worker->generation, .fence = assign->fence};
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
  uint64_t beating = worker->resuming ? worker->leftover_generation : worker->generation;
  if (beating != 0 && beat_due_ms(worker) <= now_ms) {
    bool quiet = !any_news(worker);
    say_beat(worker, beating, now_ms);
    worker->claim_stale =
        worker->claim_stale || quiet; /* a broker that restarted has forgotten our credits */
  }
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
    due = worker->hello.due_ms > now_ms ? worker->hello.due_ms : now_ms + RETRY_FIRST_MS;
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
