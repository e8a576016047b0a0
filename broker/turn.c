/* turn.c - rounds of ask, flush, answer. What must happen in which order inside a turn is decided
 * here and nowhere else: closed connections, then messages, then offers to workers, so that a job
 * submitted in this turn can be claimed in it. */
#include "broker/turn.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "base/clock.h"
#include "base/text.h"
#include "broker/terms.h"
#include "broker/verbs.h"
#include "monitoring/log.h"
#include "monitoring/metrics.h"

enum { POSITION_MS = 1000, STATS_MS = 2000, NAME_RANDOM_BYTES = 12, AWAY_WAIT_MS = 20 };

enum status turn_open(const struct turn_options *options, struct turn **out) {
  struct turn *turn = calloc(1, sizeof *turn);
  if (turn == NULL) {
    return fail(EXHAUSTED, "no memory for the broker");
  }
  turn->options = *options;
  turn->door = options->door;
  turn->redis = options->redis;
  uint8_t random[NAME_RANDOM_BYTES];
  if (getrandom(random, sizeof random, 0) != (ssize_t)sizeof random) {
    free(turn);
    return fail(UNAVAILABLE, "no random bytes");
  }
  text_hex(random, sizeof random, turn->name);
  enum status status = arena_open(NULL, TURN_BYTES_MAX, &turn->arena);
  status = status != OK ? status : waiting_open(&turn->waiting);
  if (status != OK) {
    turn_close(&turn);
    return status;
  }
  *out = turn;
  return OK;
}

void turn_close(struct turn **pointer) {
  if (*pointer != NULL) {
    waiting_close(&(*pointer)->waiting);
    listing_close(&(*pointer)->listings);
    arena_close(&(*pointer)->arena);
    free(*pointer);
    *pointer = NULL;
  }
}

/* ---- what is there --------------------------------------------------------------------------- */

/* Its jobs are not lost yet: it may be back in a moment, over another connection. */
static void worker_gone(void *context, const struct waiter *waiter) {
  struct turn *turn = context;
  struct lease *lease = arena_take_zeroed(turn->arena, sizeof *lease);
  if (lease != NULL) {
    lease->worker = turn_text(turn, "%s", waiter->name);
    lease->generation = waiter->generation;
    turn_errand(turn, &errand_gone, lease);
    log_warning("worker_connection_closed", log_text("worker", waiter->name),
                log_count("generation", waiter->generation));
  }
}

/* Before anything else of a turn: nothing is claimed for a worker that has gone. */
static void take_closed(struct turn *turn) {
  uint64_t caller;
  while (door_closed(turn->door, &caller)) {
    waiting_closed(turn->waiting, caller, worker_gone, turn);
    listing_closed(turn, caller);
  }
}

/* Who has read what it had left lying is told by snapshots what it missed. */
static void take_drained(struct turn *turn) {
  uint64_t caller;
  while (door_drained(turn->door, &caller)) {
    waiting_caller_due(turn->waiting, caller);
  }
}

static void answer_letter(struct turn *turn, const struct letter *letter) {
  struct peer peer = {letter->caller, letter->delimiter, letter->correlation, letter->who};
  turn_send_refusal(turn, &peer, &letter->why);
  door_settle(turn->door, letter->caller, letter->promised);
}

static void refuse_letter(struct turn *turn, const struct letter *letter) {
  metric_add(M_FRAMES_REFUSED, 1);
  log_warning("frame_refused", log_text("code", refusal_code_name(letter->why.code)),
              log_text("key", letter->who->row.name), log_text("reason", letter->why.message));
  answer_letter(turn, letter);
}

/* Before anything is done for it: whether it is within its sender's share, and whether it is his to
 * say. What cannot be read counts as what can. */
static bool may_come_in(struct turn *turn, struct letter *letter) {
  const struct wire_verb_row *row = letter->readable ? wire_verb(letter->verb) : NULL;
  bool counts = row == NULL || row->sender != WIRE_FROM_WORKER;
  enum status status =
      counts ? shares_take(&turn->options.shares, door_shares(turn->door, letter->caller),
                           letter->who, 1, letter->payload_bytes, &letter->why)
             : OK;
  if (status != OK) {
    answer_letter(turn, letter);
    return false;
  }
  if (row != NULL && row->sender != WIRE_FROM_BROKER &&
      identity_may_say(letter->who, row, &letter->why) != OK) {
    metric_add_labelled(M_REQUESTS_FORBIDDEN, "role", 1);
    refuse_letter(turn, letter);
    return false;
  }
  return true;
}

/* Makes a request of a letter: its payload unpacked, its sender remembered. A letter that cannot be
 * read costs its sender an ERROR and nobody else anything. */
static void take_letter(struct turn *turn, struct letter *letter) {
  const struct verb *verb = letter->readable ? verb_find(letter->verb) : NULL;
  ProtobufCMessage *payload = NULL;
  if (!may_come_in(turn, letter)) {
    return;
  }
  if (letter->readable && verb == NULL) {
    refuse(&letter->why, DARKROOM__V1__ERROR_CODE__ERROR_VERB, NULL, NULL,
           "%s is for brokers to say", wire_verb(letter->verb)->name);
  }
  if (verb == NULL || wire_unpack(letter->verb, letter->payload, letter->payload_bytes, turn->arena,
                                  &payload, &letter->why) != OK) {
    refuse_letter(turn, letter);
    return;
  }
  struct request *request = turn_request(turn, verb);
  if (request == NULL) { /* a full turn is a bug in the bounds */
    refuse(&letter->why, DARKROOM__V1__ERROR_CODE__ERROR_EXHAUSTED, NULL, NULL, "a full turn");
    refuse_letter(turn, letter);
    return;
  }
  request->message = payload;
  request->peer =
      (struct peer){letter->caller, letter->delimiter, letter->correlation, letter->who};
  request->tenant = letter->who->row.tenant;
  request->promised = letter->promised;
}

static void ask(struct turn *turn, struct request *request) {
  request->again = false;
  request->asked = request->verb->ask(turn, request);
}

/* Each message is asked as it comes, so that room for its calls is looked at before the next one is
 * taken: what does not fit stays in the socket, which is where back-pressure belongs. */
static void take_burst(struct turn *turn) {
  struct letter letter;
  for (int i = 0; i < TURN_BURST_MAX && redis_room(turn->redis) && door_take(turn->door, &letter);
       i++) {
    size_t before = turn->count;
    take_letter(turn, &letter);
    for (; before < turn->count; before++) {
      ask(turn, turn->requests[before]);
    }
  }
}

/* The broker's own errands whose time has come. */
static void take_errands(struct turn *turn) {
  int64_t now = clock_ms();
  if (!redis_up(turn->redis)) {
    turn->was_up = false;
    return;
  }
  if (!turn->was_up) { /* whatever happened while Redis was away: its events are lost */
    turn->was_up = true;
    turn->fleet_due = true;
    waiting_wake_all(turn->waiting);
  }
  if (now >= turn->tick_ms) {
    turn->tick_ms = now + TICK_MS;
    turn_errand(turn, &errand_tick, NULL);
  }
  if (turn->fleet_due) {
    turn->fleet_due = false;
    turn_errand(turn, &errand_fleet, NULL);
  }
  if (now >= turn->stats_ms) {
    turn->stats_ms = now + STATS_MS;
    turn_errand(turn, &errand_stats, NULL);
  }
  if (now >= turn->position_ms) { /* rarer the more watch: a position is a courtesy */
    turn->position_ms =
        now + POSITION_MS * (int64_t)(1 + waiting_watchers(turn->waiting) / TURN_BURST_MAX);
    waiting_all_due(turn->waiting, true);
  }
}

/* Watchers whose job has changed in a way that the event alone does not tell. */
static void take_snapshots(struct turn *turn) {
  for (int i = 0; i < TURN_BURST_MAX && redis_up(turn->redis); i++) {
    struct watch *watch = waiting_due(turn->waiting);
    if (watch == NULL) {
      return;
    }
    turn_errand(turn, &errand_snapshot, turn_text(turn, "%s", watch->name));
  }
}

/* After the messages: the submits of this turn are then in the pipeline before the claims. */
static void take_offers(struct turn *turn) {
  struct waiter *waiter;
  while (redis_up(turn->redis) && redis_room(turn->redis) &&
         (waiter = waiting_woken(turn->waiting)) != NULL) {
    turn_errand(turn, &errand_offer, turn_text(turn, "%s", waiter->name));
  }
}

/* ---- the turn -------------------------------------------------------------------------------- */

static void answer_failure(struct turn *turn, struct request *request, enum status status) {
  if (request->errand) {
    log_debug("errand_failed", log_text("errand", request->verb->name),
              log_text("reason", fail_reason()));
    return;
  }
  turn_refuse(turn, request, status);
}

static void answer(struct turn *turn, struct request *request) {
  enum status status = request->asked;
  if (status == OK) {
    status = request->verb->answer(turn, request);
  }
  if (status != OK) {
    answer_failure(turn, request, status);
  }
}

/* Flushes and answers; what is left for another round moves to the front of the list: requests that
 * must ask twice, and the errands that answers have added behind the `asked` ones. */
static void run_round(struct turn *turn) {
  redis_flush(turn->redis);
  size_t asked = turn->count, kept = 0;
  for (size_t i = 0; i < asked; i++) {
    answer(turn, turn->requests[i]);
  }
  for (size_t i = 0; i < turn->count; i++) {
    struct request *request = turn->requests[i];
    if (i >= asked || request->again) {
      request->round += i < asked;
      turn->requests[kept++] = request;
    } else {
      door_settle(turn->door, request->peer.caller, request->promised);
    }
  }
  turn->count = kept;
}

static void ask_from(struct turn *turn, size_t from) {
  for (size_t i = from; i < turn->count; i++) {
    ask(turn, turn->requests[i]);
  }
}

/* The order is the correctness: closed connections first, so that nothing is claimed for a worker
 * that has gone; the broker's own calls next, so that a burst of messages cannot crowd out the
 * clock; messages; then the offers, behind the submits and beats of this turn in the same pipeline.
 * Each call of a script is atomic by itself and nothing between two of them is, so no step may rest
 * on what an earlier one has seen.
 *
 * Nothing of a turn outlives it: requests, messages and replies die with the next one's first two
 * lines, and what is to be remembered (watchers, credits, the fleet) has been copied. An errand
 * made in the last round is asked and never flushed; a job it would have handed back lapses
 * instead. */
void turn_run(struct turn *turn) {
  arena_drop(turn->arena);
  arena_trim(turn->arena, TURN_BYTES_KEPT);
  redis_forget(turn->redis);
  turn->count = 0;
  door_gather(turn->door);
  take_closed(turn);
  take_drained(turn);
  take_errands(turn);
  take_snapshots(turn);
  ask_from(turn, 0);
  size_t own = turn->count;
  take_burst(turn);
  bool quiet = turn->count == own;
  own = turn->count;
  listing_ask(turn, quiet);
  ask_from(turn, own);
  for (int round = 0; round < TURN_ROUNDS_MAX; round++) {
    size_t before = turn->count;
    take_offers(turn);
    ask_from(turn, before);
    if (turn->count == 0) {
      break;
    }
    run_round(turn);
    ask_from(turn, 0);
  }
  for (size_t i = 0; i < turn->count; i++) { /* asked for once too often: no answer comes */
    door_settle(turn->door, turn->requests[i]->peer.caller, turn->requests[i]->promised);
  }
}

/* While Redis is away nothing is due and connecting goes on in small steps. */
int64_t turn_wait_ms(const struct turn *turn) {
  if (!turn->was_up) {
    return AWAY_WAIT_MS;
  }
  if (listing_waits(&turn->listings)) {
    return 0;
  }
  int64_t left = turn->tick_ms - clock_ms();
  return left < 0 ? 0 : left;
}
