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
  turn->router = options->router;
  turn->redis = options->redis;
  uint8_t random[NAME_RANDOM_BYTES];
  if (getrandom(random, sizeof random, 0) != (ssize_t)sizeof random) {
    free(turn);
    return fail(UNAVAILABLE, "no random bytes");
  }
  for (size_t i = 0; i < sizeof random; i++) {
    snprintf(turn->name + 2 * i, 3, "%02x", random[i]);
  }
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
    arena_close(&(*pointer)->arena);
    free(*pointer);
    *pointer = NULL;
  }
}

/* ---- what is there --------------------------------------------------------------------------- */

/* Its jobs are not lost yet: it may be back in a moment, under another routing id. */
static void worker_gone(void *context, const struct waiter *waiter) {
  struct turn *turn = context;
  struct lease *lease = arena_take_zeroed(turn->arena, sizeof *lease);
  if (lease != NULL) {
    lease->worker = turn_text(turn, "%s", waiter->name);
    lease->generation = waiter->generation;
    turn_errand(turn, &errand_gone, lease);
    log_event("worker_connection_closed", log_text("worker", waiter->name),
              log_count("generation", waiter->generation));
  }
}

/* The monitor's queue is read apart from the router's. A DISCONNECTED may overtake the last
 * messages of its connection: they are then answered into the void, which MANDATORY makes an error
 * that lets go of the peer. And a descriptor's number may be in use again already: the new
 * connection then loses its entries, and makes them again by asking again.
 *
 * Monitor events are two frames: event (u16) and value (u32; for DISCONNECTED the fd), then the
 * endpoint. */
static void take_closed(struct turn *turn) {
  uint8_t event[6];
  while (turn->options.monitor != NULL &&
         zmq_recv(turn->options.monitor, event, sizeof event, ZMQ_DONTWAIT) >= 0) {
    int more = 0;
    size_t size = sizeof more;
    zmq_getsockopt(turn->options.monitor, ZMQ_RCVMORE, &more, &size);
    if (more != 0) {
      char endpoint[8];
      zmq_recv(turn->options.monitor, endpoint, sizeof endpoint, 0);
    }
    uint16_t kind;
    int32_t fd;
    memcpy(&kind, event, sizeof kind);
    memcpy(&fd, event + sizeof kind, sizeof fd);
    if (kind == ZMQ_EVENT_DISCONNECTED) {
      waiting_closed(turn->waiting, fd, worker_gone, turn);
    }
  }
}

static void refuse_unreadable(struct turn *turn, struct wire_message *message) {
  metric_add(M_FRAMES_REFUSED, 1);
  log_warning("frame_refused", log_text("code", refusal_code_name(message->why.code)),
              log_text("reason", message->why.message));
  (void)wire_send_refusal(turn->router, &message->from, message->correlation, &message->why);
}

/* Makes a request of a message: its payload unpacked, its sender remembered. A message that cannot
 * be read costs its sender an ERROR and nobody else anything. */
static void take_message(struct turn *turn, struct wire_message *message) {
  const struct verb *verb = verb_find(message->verb);
  ProtobufCMessage *payload = NULL;
  if (verb == NULL) {
    refuse(&message->why, DARKROOM__V1__ERROR_CODE__ERROR_VERB, NULL, NULL,
           "%s is for brokers to say", wire_verb(message->verb)->name);
    refuse_unreadable(turn, message);
    return;
  }
  if (wire_unpack(message->verb, message->payload, message->payload_bytes, turn->arena, &payload,
                  &message->why) != OK) {
    refuse_unreadable(turn, message);
    return;
  }
  struct request *request = turn_request(turn, verb);
  if (request == NULL) {
    return; /* a full turn is a bug in the bounds: the peer asks again */
  }
  request->message = payload;
  request->peer.address = message->from;
  request->peer.correlation = message->correlation;
  request->peer.fd = message->frame_held ? zmq_msg_get(&message->frame, ZMQ_SRCFD) : -1;
}

static void ask(struct turn *turn, struct request *request) {
  request->again = false;
  request->asked = request->verb->ask(turn, request);
}

/* Each message is asked as it comes, so that room for its calls is looked at before the next one is
 * taken: what does not fit stays in the socket, which is where back-pressure belongs. */
static enum status take_burst(struct turn *turn) {
  struct wire_message message = {0};
  enum status status = OK;
  for (int i = 0; i < TURN_BURST_MAX && redis_room(turn->redis); i++) {
    status = wire_receive(turn->router, &message);
    if (status != OK || message.got == WIRE_NOTHING) {
      break;
    }
    if (message.got == WIRE_UNREADABLE) {
      refuse_unreadable(turn, &message);
      continue;
    }
    size_t before = turn->count;
    take_message(turn, &message);
    for (; before < turn->count; before++) {
      ask(turn, turn->requests[before]);
    }
  }
  wire_message_close(&message);
  return status;
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
    turn_errand(turn, &errand_snapshot, turn_text(turn, "%s", watch->id));
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
enum status turn_run(struct turn *turn) {
  arena_drop(turn->arena);
  redis_forget(turn->redis);
  turn->count = 0;
  take_closed(turn);
  take_errands(turn);
  take_snapshots(turn);
  ask_from(turn, 0);
  enum status status = take_burst(turn);
  for (int round = 0; round < TURN_ROUNDS_MAX && status == OK; round++) {
    size_t before = turn->count;
    take_offers(turn);
    ask_from(turn, before);
    if (turn->count == 0) {
      break;
    }
    run_round(turn);
    ask_from(turn, 0);
  }
  return status;
}

/* While Redis is away nothing is due and connecting goes on in small steps. */
int64_t turn_wait_ms(const struct turn *turn) {
  if (!turn->was_up) {
    return AWAY_WAIT_MS;
  }
  int64_t left = turn->tick_ms - clock_ms();
  return left < 0 ? 0 : left;
}
