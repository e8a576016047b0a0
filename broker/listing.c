/* listing.c - lists that wait, and the page of this turn. */
#include "broker/listing.h"

#include <stdlib.h>
#include <string.h>

#include "broker/serving.h"
#include "broker/turn.h"
#include "monitoring/log.h"

enum { STATES_MAX = 32, LISTING_BYTES_MAX = 64 * 1024 * 1024 };

/* The largest answer that is sure to fit into a frame, and what a row takes beside its message. */
enum { ANSWER_BYTES_MAX = FRAME_BYTES_MAX - 4096, ROW_BYTES = 8 };

struct listing {
  struct listing *next;
  struct peer peer;
  size_t promised;
  size_t limit;
  Darkroom__V1__JobState state[STATES_MAX];
  size_t states;
  size_t at, from;     /* the state whose page is next, and where it begins */
  struct arena *arena; /* of the rows: opened with the first page */
  struct listed *rows;
  size_t count, max;
};

/* ---- answering ------------------------------------------------------------------------------- */

static int newest_first(const void *a, const void *b) {
  const struct listed *left = a, *right = b;
  if (left->born != right->born) {
    return left->born < right->born ? 1 : -1;
  }
  return strcmp(left->status->id, right->status->id);
}

/* A job may come twice: pages of different turns overlap by what was submitted between them, and
 * one that changed its state may be on the pages of both. The one read last is the truer. */
static bool repeats(const struct listed *rows, size_t at) {
  return at > 0 && strcmp(rows[at].status->id, rows[at - 1].status->id) == 0;
}

enum status listing_send(struct turn *turn, const struct peer *peer, struct listed *rows,
                         size_t count, size_t limit) {
  Darkroom__V1__JobStatus **jobs = arena_take(turn->arena, limit * sizeof(void *));
  if (jobs == NULL) {
    return EXHAUSTED;
  }
  qsort(rows, count, sizeof *rows, newest_first);
  Darkroom__V1__JobList answer = DARKROOM__V1__JOB_LIST__INIT;
  answer.job = jobs;
  size_t bytes = 0;
  for (size_t i = 0; i < count && answer.n_job < limit; i++) {
    bytes += protobuf_c_message_get_packed_size(&rows[i].status->base) + ROW_BYTES;
    if (bytes > ANSWER_BYTES_MAX) {
      break;
    }
    if (!repeats(rows, i)) {
      jobs[answer.n_job++] = rows[i].status;
    }
  }
  turn_send(turn, peer, WIRE_JOB_LIST, &answer.base);
  return OK;
}

/* ---- waiting --------------------------------------------------------------------------------- */

static void drop(struct turn *turn, struct listing *listing) {
  struct listing **link = &turn->listings.first;
  while (*link != listing) {
    link = &(*link)->next;
  }
  *link = listing->next;
  door_settle(turn->door, listing->peer.caller, listing->promised);
  arena_close(&listing->arena);
  free(listing);
}

static void refuse_listing(struct turn *turn, struct listing *listing, enum status status) {
  struct request request = {.peer = listing->peer};
  turn_refuse(turn, &request, status);
  drop(turn, listing);
}

enum status listing_add(struct turn *turn, struct request *request, uint32_t states, size_t limit) {
  struct listing *listing = calloc(1, sizeof *listing);
  if (listing == NULL) {
    return fail(EXHAUSTED, "no memory for a list");
  }
  listing->peer = request->peer;
  listing->promised = request->promised;
  request->promised = 0;
  listing->limit = limit;
  for (unsigned state = 0; state < STATES_MAX; state++) {
    if ((states & 1U << state) != 0) {
      listing->state[listing->states++] = (Darkroom__V1__JobState)state;
    }
  }
  listing->states = states == 0 ? 1 : listing->states; /* state 0: all */
  listing->max = listing->states * limit;
  struct listing **link = &turn->listings.first;
  while (*link != NULL) {
    link = &(*link)->next;
  }
  *link = listing;
  return OK;
}

bool listing_waits(const struct listings *listings) { return listings->first != NULL; }

void listing_closed(struct turn *turn, uint64_t caller) {
  for (struct listing *at = turn->listings.first, *next; at != NULL; at = next) {
    next = at->next;
    if (at->peer.caller == caller) {
      drop(turn, at);
    }
  }
}

void listing_close(struct listings *listings) {
  for (struct listing *at; (at = listings->first) != NULL;) {
    listings->first = at->next;
    arena_close(&at->arena);
    free(at);
  }
}

/* ---- a page ---------------------------------------------------------------------------------- */

static size_t page_rows(const struct listing *listing) {
  size_t left = listing->limit - listing->from;
  return left < SCRIPT_LOOP_MAX ? left : SCRIPT_LOOP_MAX;
}

static enum status page_ask(struct turn *turn, struct request *request) {
  struct listing *listing = turn->listings.first;
  request->subject = listing;
  request->call = queue_list(turn->redis, listing->state[listing->at], verb_tenant(request),
                             listing->from, page_rows(listing));
  return OK;
}

/* What Redis said dies with the turn: the rows are copied, through their own packing. */
static enum status keep(struct listing *listing, const struct listed *row, struct turn *turn) {
  size_t bytes = protobuf_c_message_get_packed_size(&row->status->base);
  uint8_t *packed = arena_take(turn->arena, bytes);
  ProtobufCMessage *copy = NULL;
  if (packed == NULL) {
    return EXHAUSTED;
  }
  protobuf_c_message_pack(&row->status->base, packed);
  TRY(wire_unpack_type(&darkroom__v1__job_status__descriptor, packed, bytes, listing->arena, &copy,
                       NULL));
  listing->rows[listing->count++] = (struct listed){row->born, (Darkroom__V1__JobStatus *)copy};
  return OK;
}

static enum status take_page(struct turn *turn, struct listing *listing, size_t call,
                             size_t *count) {
  struct listed rows[SCRIPT_LOOP_MAX];
  *count = 0;
  if (listing->arena == NULL) {
    TRY(arena_open(NULL, LISTING_BYTES_MAX, &listing->arena));
    listing->rows = arena_take(listing->arena, listing->max * sizeof *listing->rows);
  }
  if (listing->rows == NULL) {
    return EXHAUSTED;
  }
  TRY(queue_list_reply(turn->redis, call, turn->arena, rows, SCRIPT_LOOP_MAX, count));
  for (size_t i = 0; i < *count && listing->count < listing->max; i++) {
    TRY(keep(listing, &rows[i], turn));
  }
  return OK;
}

/* A page that is not full is the last of its state. */
static void go_on(struct listing *listing, size_t count) {
  bool last = count < page_rows(listing) || listing->from + count >= listing->limit;
  listing->from = last ? 0 : listing->from + count;
  listing->at += last;
}

static enum status page_answer(struct turn *turn, struct request *request) {
  struct listing *listing = turn->listings.first;
  if (listing == NULL || listing != request->subject) {
    return OK; /* its connection has closed in between */
  }
  size_t count = 0;
  enum status status = take_page(turn, listing, request->call, &count);
  if (status == OK) {
    go_on(listing, count);
    if (listing->at < listing->states) {
      return OK;
    }
    status = listing_send(turn, &listing->peer, listing->rows, listing->count, listing->limit);
  }
  if (status != OK) {
    refuse_listing(turn, listing, status);
  } else {
    drop(turn, listing);
  }
  return OK;
}

static const struct verb errand_page = {"page", page_ask, page_answer};

void listing_ask(struct turn *turn) {
  while (turn->listings.first != NULL && !redis_up(turn->redis)) {
    fail(UNAVAILABLE, "the queue is away: %s", redis_why(turn->redis));
    refuse_listing(turn, turn->listings.first, UNAVAILABLE);
  }
  if (turn->listings.first != NULL) {
    turn_errand(turn, &errand_page, NULL);
  }
}
