/* listing.c - lists that wait, and the page of this turn. */
#include "broker/listing.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "broker/serving.h"
#include "broker/turn.h"
#include "monitoring/log.h"

enum { PAGE_MS = 10, STATES_MAX = 32, LISTING_BYTES_MAX = 64 * 1024 * 1024 };

enum { ROW_BYTES = 10, JOB_LIST_JOB = 1 /* the field's number in the contract */ };

/* A row of an answer, packed once, when it is read. */
struct row {
  uint64_t born;
  const char *id;
  ProtobufCMessageUnknownField field;
};

struct listing {
  struct listing *next;
  struct peer peer;
  size_t promised;
  char tenant[JOB_ID_BYTES_MAX + 1];
  size_t limit;
  Darkroom__V1__JobState state[STATES_MAX];
  size_t states;
  size_t at, from;     /* the state whose page is next, and where it begins */
  struct arena *arena; /* of the rows: opened with the first page */
  struct row *rows;
  size_t count, max;
};

/* ---- rows ------------------------------------------------------------------------------------ */

static size_t put_length(uint8_t *out, size_t value) {
  size_t bytes = 0;
  for (; value >= 0x80; value >>= 7) {
    out[bytes++] = (uint8_t)(value | 0x80);
  }
  out[bytes++] = (uint8_t)value;
  return bytes;
}

/* As a field that protobuf-c is told not to know: it goes into the answer as it is. A thousand rows
 * would be measured and packed some times over otherwise, all in the turn of the last page. */
static enum status pack_row(const struct listed *listed, struct arena *arena, struct row *out) {
  size_t bytes = protobuf_c_message_get_packed_size(&listed->status->base);
  uint8_t *packed = arena_take(arena, bytes + ROW_BYTES);
  char *id = arena_copy_text(arena, listed->status->id, strlen(listed->status->id));
  if (packed == NULL || id == NULL) {
    return EXHAUSTED;
  }
  size_t head = put_length(packed, bytes);
  protobuf_c_message_pack(&listed->status->base, packed + head);
  *out = (struct row){.born = listed->born,
                      .id = id,
                      .field = {.tag = JOB_LIST_JOB,
                                .wire_type = PROTOBUF_C_WIRE_TYPE_LENGTH_PREFIXED,
                                .len = head + bytes,
                                .data = packed}};
  return OK;
}

static int newest_first(const void *a, const void *b) {
  const struct row *left = a, *right = b;
  if (left->born != right->born) {
    return left->born < right->born ? 1 : -1;
  }
  return strcmp(left->id, right->id);
}

/* Sends the first of the rows, as many as fit into a frame. A job may come twice: pages of
 * different turns overlap by what was submitted between them, and one that changed its state may
 * be on the pages of both. */
static enum status send_rows(struct turn *turn, const struct peer *peer, struct row *rows,
                             size_t count, size_t limit) {
  ProtobufCMessageUnknownField *fields = arena_take(turn->arena, limit * sizeof *fields);
  if (fields == NULL) {
    return EXHAUSTED;
  }
  qsort(rows, count, sizeof *rows, newest_first);
  Darkroom__V1__JobList answer = DARKROOM__V1__JOB_LIST__INIT;
  answer.base.unknown_fields = fields;
  size_t bytes = 0;
  for (size_t i = 0; i < count && answer.base.n_unknown_fields < limit; i++) {
    bytes += rows[i].field.len + 1;
    if (bytes > FRAME_BYTES_MAX) {
      break;
    }
    if (i == 0 || strcmp(rows[i].id, rows[i - 1].id) != 0) {
      fields[answer.base.n_unknown_fields++] = rows[i].field;
    }
  }
  turn_send(turn, peer, WIRE_JOB_LIST, &answer.base);
  return OK;
}

enum status listing_send(struct turn *turn, const struct peer *peer, const struct listed *listed,
                         size_t count) {
  struct row *rows = arena_take(turn->arena, (count + 1) * sizeof *rows);
  if (rows == NULL) {
    return EXHAUSTED;
  }
  for (size_t i = 0; i < count; i++) {
    TRY(pack_row(&listed[i], turn->arena, &rows[i]));
  }
  return send_rows(turn, peer, rows, count, count + 1);
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
  snprintf(listing->tenant, sizeof listing->tenant, "%s", request->tenant);
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
  return left < LIST_PAGE_ROWS ? left : LIST_PAGE_ROWS;
}

static enum status page_ask(struct turn *turn, struct request *request) {
  struct listing *listing = turn->listings.first;
  request->subject = listing;
  request->call = queue_list(turn->redis, listing->state[listing->at], listing->tenant,
                             listing->from, page_rows(listing));
  return OK;
}

static enum status take_page(struct turn *turn, struct listing *listing, size_t call,
                             size_t *count) {
  struct listed rows[LIST_PAGE_ROWS];
  *count = 0;
  if (listing->arena == NULL) {
    TRY(arena_open(NULL, LISTING_BYTES_MAX, &listing->arena));
    listing->rows = arena_take(listing->arena, listing->max * sizeof *listing->rows);
  }
  if (listing->rows == NULL) {
    return EXHAUSTED;
  }
  TRY(queue_list_reply(turn->redis, call, turn->arena, rows, LIST_PAGE_ROWS, count));
  for (size_t i = 0; i < *count && listing->count < listing->max; i++) {
    TRY(pack_row(&rows[i], listing->arena, &listing->rows[listing->count]));
    listing->count++;
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
    status = send_rows(turn, &listing->peer, listing->rows, listing->count, listing->limit);
  }
  if (status != OK) {
    refuse_listing(turn, listing, status);
  } else {
    drop(turn, listing);
  }
  return OK;
}

static const struct verb errand_page = {"page", page_ask, page_answer};

void listing_ask(struct turn *turn, bool quiet) {
  while (turn->listings.first != NULL && !redis_up(turn->redis)) {
    fail(UNAVAILABLE, "the queue is away: %s", redis_why(turn->redis));
    refuse_listing(turn, turn->listings.first, UNAVAILABLE);
  }
  int64_t now = clock_ms();
  if (turn->listings.first != NULL && (quiet || now - turn->listings.page_ms >= PAGE_MS)) {
    turn->listings.page_ms = now;
    turn_errand(turn, &errand_page, NULL);
  }
}
