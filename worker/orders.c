/* orders.c - what the broker says: one row per verb. */
#include "worker/orders.h"

#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "monitoring/log.h"
#include "worker/admission.h"
#include "worker/claim.h"
#include "worker/extras.h"
#include "worker/inputs.h"
#include "worker/offers.h"
#include "worker/outcome.h"
#include "worker/placement.h"

enum { BEAT_MS_MIN = 50, BEAT_MS_MAX = 60000, DEADLINE_GRACE_MS = 1000 };

struct order {
  const struct wire_message *wire;
  const ProtobufCMessage *message;
};

/* WELCOME, and the loss of it ------------------------------------------------------------------ */

static void on_welcome(struct worker *worker, const struct order *order) {
  const Darkroom__V1__Welcome *welcome = (const Darkroom__V1__Welcome *)order->message;
  if (order->wire->correlation != worker->hello.correlation || welcome->generation == 0) {
    return; /* an earlier HELLO's: its generation is closed already */
  }
  worker->generation = welcome->generation;
  worker->hello = (struct offer){0};
  worker->unwelcome[0] = '\0';
  if (welcome->beat_ms >= BEAT_MS_MIN && welcome->beat_ms <= BEAT_MS_MAX) {
    worker->beat_ms = welcome->beat_ms;
  }
  worker->last_beat_ms = clock_ms();
  worker->devices_said = 0; /* a generation begins without them */
  worker->claim_stale = true;
  log_event("welcomed", log_count("generation", worker->generation),
            log_text("broker", dealer_endpoint(&worker->link.dealer)));
}

/* Somebody else said HELLO under our name, or the queue was lost: what we hold is not ours now. */
static void hello_again(struct worker *worker) {
  worker->resuming = false;
  if (worker->generation == 0) {
    return;
  }
  log_warning("generation_closed", log_count("generation", worker->generation));
  struct held *held = NULL;
  for (size_t at = 0; (held = held_next(&worker->held, &at)) != NULL;) {
    if (held->state != HELD_LEAVING && held->generation == worker->generation) {
      job_leave(worker, held, !held->complete_said);
    }
  }
  worker->generation = 0;
  worker->hello.tries++;
  offer_again(&worker->hello, clock_ms(), 0);
}

/* ASSIGN ------------------------------------------------------------------------------------ */

/* No row holds it. From a full table it goes back at once, behind a CLAIM that takes no more: else
 * it would come straight back. What cannot be read is left to its lease, which lapses a bounded
 * number of times: handed back it would go round for ever. */
static void refuse_assignment(struct worker *worker, const Darkroom__V1__Assign *assign) {
  log_warning("assignment_refused", log_text("job", assign->job->id),
              log_text("reason", fail_reason()));
  if (held_count(&worker->held) == HELD_MAX) {
    worker->claim_stale = true;
    claim_tend(worker);
    offers_give_back(worker, assign);
  }
}

/* On our clock, and a little later than on the queue's: a job that is handed back before the queue
 * sees its end would be pushed again at once. */
static int64_t deadline_of(const Darkroom__V1__Job *job, uint64_t queued_us) {
  int64_t left_ms = (int64_t)job->deadline_ms - (int64_t)(queued_us / 1000);
  int64_t wait_ms = (left_ms > 0 ? left_ms : 0) + DEADLINE_GRACE_MS;
  return job->has_deadline_ms ? clock_ms() + wait_ms : INT64_MAX;
}

static void on_assign(struct worker *worker, const struct order *order) {
  const Darkroom__V1__Assign *assign = (const Darkroom__V1__Assign *)order->message;
  if (assign->job == NULL || assign->job->id == NULL || assign->job->model == NULL) {
    log_warning("assignment_unreadable");
    return;
  }
  if (held_find(&worker->held, assign->job->id, assign->fence) != NULL) {
    return; /* said twice */
  }
  struct held *older = held_find_id(&worker->held, assign->job->tenant, assign->job->id);
  if (older != NULL) {
    job_leave(worker, older, !older->complete_said);
  }
  size_t child = 0;
  bool has_model = placement_child_for(worker, assign->job->model, NULL, &child);
  bool has_all = placement_child_for(worker, assign->job->model, assign->job, &child);
  struct held *held = held_take(&worker->held, order->wire->payload, order->wire->payload_bytes);
  if (held == NULL) {
    refuse_assignment(worker, assign);
    return;
  }
  held->news = true; /* a BEAT that names it proves that it came: the engine may be slow to START */
  held->generation = worker->generation;
  held->child = child;
  held->steps = held->job->steps * held->images;
  held->timings.has_queue_us = 1;
  held->timings.queue_us = assign->queued_us;
  held->alone = assign->alone;
  claim_used(worker, assign, order->wire->correlation);
  log_event("job_assigned", log_text("job", held->id), log_count("fence", held->fence),
            log_text("model", held->job->model), log_text("alone", held->alone ? "yes" : "no"));
  if (!has_model || worker->draining) {
    held->state = HELD_STORING; /* no engine has it */
    job_release(worker, held);
    return;
  }
  held->state = HELD_WAITING;
  if (!has_all) { /* the queue knows what a worker has, not which of its devices has what */
    (void)extras_on(worker, child, held->job);
    job_fail(worker, held, DARKROOM__V1__FAIL_KIND__FAIL_RETRY,
             DARKROOM__V1__ERROR_CODE__ERROR_UNKNOWN_MODEL, fail_reason());
    return;
  }
  held->state = inputs_needed(held->job) ? HELD_FETCHING : HELD_WAITING;
  held->inputs.deadline_ms = deadline_of(held->job, assign->queued_us);
  inputs_tend(worker, clock_ms());
  admission_tend(worker);
}

/* ORDERS ------------------------------------------------------------------------------------ */

static void cancel(struct worker *worker, struct held *held) {
  bool said = held->state == HELD_ENDING && held->offer.verb == WIRE_FAIL;
  if (!said) {
    job_fail(worker, held, DARKROOM__V1__FAIL_KIND__FAIL_CANCELLED,
             DARKROOM__V1__ERROR_CODE__ERROR_TERMINAL, "cancelled");
  }
}

/* The job that is meant: two of other tenants may have one id. Brokers of before say no fences. */
static struct held *ordered(struct worker *worker, const char *id, const uint64_t *fence,
                            bool has_fences, size_t at) {
  return has_fences ? held_find(&worker->held, id, fence[at])
                    : held_find_id(&worker->held, NULL, id);
}

static void on_orders(struct worker *worker, const struct order *order) {
  const Darkroom__V1__Orders *orders = (const Darkroom__V1__Orders *)order->message;
  if (orders->hello_again) {
    hello_again(worker);
    return;
  }
  /* A CLAIM said after the BEAT that this answers is on its way, and what it grants may be, too:
   * said again it would be granted twice. */
  bool missed = order->wire->correlation > worker->claim_correlation;
  worker->claim_stale = worker->claim_stale || (orders->claim_again && missed);
  for (size_t i = 0; i < orders->n_cancel; i++) {
    struct held *held = ordered(worker, orders->cancel[i], orders->cancel_fence,
                                orders->n_cancel_fence == orders->n_cancel, i);
    if (held != NULL) {
      cancel(worker, held);
    }
  }
  for (size_t i = 0; i < orders->n_stale; i++) {
    struct held *held = ordered(worker, orders->stale[i], orders->stale_fence,
                                orders->n_stale_fence == orders->n_stale, i);
    if (held != NULL && held->offer.verb != WIRE_COMPLETE) {
      log_warning("job_stale", log_text("job", held->id), log_count("fence", held->fence));
      job_leave(worker, held, !held->complete_said);
    }
  }
}

/* ACK --------------------------------------------------------------------------------------- */

static void on_taken(struct worker *worker, struct held *held, uint64_t correlation) {
  if (held->offer.verb == 0 || held->offer.correlation != correlation) {
    return; /* of something said before: a START whose job is already being handed in */
  }
  enum wire_verb verb = held->offer.verb;
  held->offer = (struct offer){0};
  if (verb == WIRE_COMPLETE) {
    log_event("job_completed", log_text("job", held->id), log_count("fence", held->fence),
              log_count("images", held->images));
    job_leave(worker, held, false);
  } else if (verb != WIRE_START) {
    job_leave(worker, held, true);
  }
}

static void on_ack(struct worker *worker, const struct order *order) {
  const Darkroom__V1__Ack *ack = (const Darkroom__V1__Ack *)order->message;
  if (worker->bye.verb != 0 && worker->bye.correlation == order->wire->correlation) {
    worker->gone = true;
    return;
  }
  struct held *held = held_find(&worker->held, ack->id, ack->fence);
  if (held == NULL || held->state == HELD_LEAVING) {
    return;
  }
  if (ack->result == DARKROOM__V1__ACK_RESULT__ACK_STALE ||
      ack->result == DARKROOM__V1__ACK_RESULT__ACK_GONE) {
    /* GONE after a COMPLETE whose ACK was lost: the job may have ended with our pictures */
    bool gone = ack->result == DARKROOM__V1__ACK_RESULT__ACK_GONE;
    log_warning("job_stale", log_text("job", held->id), log_count("fence", held->fence));
    job_leave(worker, held, !(gone && held->complete_said));
  } else if (ack->result == DARKROOM__V1__ACK_RESULT__ACK_CANCELLED) {
    log_event("job_cancelled", log_text("job", held->id), log_count("fence", held->fence));
    job_leave(worker, held, true);
  } else {
    on_taken(worker, held, order->wire->correlation);
  }
}

/* ERROR ------------------------------------------------------------------------------------- */

static bool passing(Darkroom__V1__ErrorCode code) {
  return code == DARKROOM__V1__ERROR_CODE__ERROR_UNAVAILABLE ||
         code == DARKROOM__V1__ERROR_CODE__ERROR_EXHAUSTED ||
         code == DARKROOM__V1__ERROR_CODE__ERROR_INTERNAL;
}

static void offer_refused(struct worker *worker, struct held *held,
                          const Darkroom__V1__Error *error) {
  if (passing(error->code)) {
    offer_again(&held->offer, clock_ms(), error->retry_after_ms);
    return;
  }
  log_error("offer_refused", log_text("job", held->id), log_number("verb", held->offer.verb),
            log_number("code", error->code),
            log_text("message", error->message != NULL ? error->message : ""));
  job_leave(worker, held, !held->complete_said);
}

/* A name that another daemon has may fall free: this one goes on asking, and says on /readyz whom
 * it waits for. */
static void hello_refused(struct worker *worker, const Darkroom__V1__Error *error) {
  snprintf(worker->unwelcome, sizeof worker->unwelcome, "%s",
           error->message != NULL ? error->message : "a broker refuses our HELLO");
  log_warning("hello_refused", log_number("code", (int)error->code),
              log_text("message", worker->unwelcome));
}

static void on_error(struct worker *worker, const struct order *order) {
  const Darkroom__V1__Error *error = (const Darkroom__V1__Error *)order->message;
  uint64_t correlation = order->wire->correlation;
  struct held *held = held_find_offer(&worker->held, correlation);
  if (held != NULL) {
    offer_refused(worker, held, error);
  } else if (worker->generation == 0 && correlation == worker->hello.correlation) {
    hello_refused(worker, error);
    offer_again(&worker->hello, clock_ms(), error->retry_after_ms);
  } else if (worker->bye.verb != 0 && correlation == worker->bye.correlation) {
    offer_again(&worker->bye, clock_ms(), error->retry_after_ms);
  } else if (correlation == worker->claim_correlation) {
    if (error->code == DARKROOM__V1__ERROR_CODE__ERROR_STALE) {
      hello_again(worker);
    } else {
      claim_refused(worker);
    }
  }
}

/* the rows ------------------------------------------------------------------------------------- */

static const struct {
  enum wire_verb verb;
  void (*act)(struct worker *worker, const struct order *order);
} rows[] = {
    {WIRE_WELCOME, on_welcome}, {WIRE_ASSIGN, on_assign}, {WIRE_ORDERS, on_orders},
    {WIRE_ACK, on_ack},         {WIRE_ERROR, on_error},
};

static void take(struct worker *worker, const struct wire_message *wire) {
  for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
    if (rows[i].verb != wire->verb) {
      continue;
    }
    ProtobufCMessage *message = NULL;
    arena_drop(worker->scratch);
    if (wire_unpack(wire->verb, wire->payload, wire->payload_bytes, worker->scratch, &message,
                    NULL) != OK) {
      log_warning("broker_unreadable", log_number("verb", wire->verb),
                  log_text("reason", fail_reason()));
      return;
    }
    struct order order = {wire, message};
    rows[i].act(worker, &order);
    return;
  }
  log_debug("verb_ignored", log_number("verb", wire->verb));
}

enum status orders_take_all(struct worker *worker) {
  struct wire_message message = {0};
  for (;;) {
    enum status status = link_receive(&worker->link, &message);
    if (status != OK || message.got == WIRE_NOTHING) {
      wire_message_close(&message);
      return status;
    }
    if (message.got == WIRE_MESSAGE) {
      take(worker, &message);
    }
  }
}
