/* callers.c - a table of connections, their queues and their accounts. */
#include "broker/callers.h"

#include <stdlib.h>
#include <string.h>

#include "base/hash.h"

/* ---- lists ----------------------------------------------------------------------------------- */

bool list_holds(const struct link *link) { return link->next != NULL && link->next != link; }

void list_leave(struct link *link) {
  if (list_holds(link)) {
    link->next->back = link->back;
    link->back->next = link->next;
  }
  link->next = link->back = link;
}

void list_join(struct link *head, struct link *link) {
  if (!list_holds(link)) {
    *link = (struct link){.next = head, .back = head->back};
    head->back->next = link;
    head->back = link;
  }
}

struct link *list_take(struct link *head) {
  struct link *link = list_holds(head) ? head->next : NULL;
  if (link != NULL) {
    list_leave(link);
  }
  return link;
}

/* ---- the table ------------------------------------------------------------------------------- */

static size_t bucket_of(const struct wire_address *address) {
  return (size_t)(hash_on(HASH_START, address->identity, address->identity_bytes) % CALLERS_MAX);
}

struct caller *callers_find(const struct callers *callers, uint64_t id) {
  struct caller *caller = callers->slot[id % CALLERS_MAX];
  return caller != NULL && caller->id == id && !caller->gone ? caller : NULL;
}

struct caller *callers_by_address(const struct callers *callers,
                                  const struct wire_address *address) {
  struct caller *caller = callers->bucket[bucket_of(address)];
  while (caller != NULL && !wire_address_equal(&caller->address, address)) {
    caller = caller->chain;
  }
  return caller;
}

struct caller *callers_by_fd(const struct callers *callers, int fd) {
  struct caller *caller = callers->bucket_fd[(size_t)fd % CALLERS_MAX];
  while (caller != NULL && caller->fd != fd) {
    caller = caller->chain_fd;
  }
  return caller;
}

static struct account *open_account(struct callers *callers) {
  struct account *account = calloc(1, sizeof *account);
  if (account != NULL) {
    account->total = &callers->unread;
    atomic_init(&account->holders, 1);
  }
  return account;
}

static void leave_account(struct account *account) {
  if (atomic_fetch_sub(&account->holders, 1) == 1) {
    free(account);
  }
}

struct caller *callers_add(struct callers *callers, const struct wire_address *address, int fd) {
  struct caller *caller = callers->count < CALLERS_MAX ? calloc(1, sizeof *caller) : NULL;
  if (caller == NULL || (caller->account = open_account(callers)) == NULL) {
    free(caller);
    return NULL;
  }
  while (callers->slot[callers->next_slot] != NULL) {
    callers->next_slot = (callers->next_slot + 1) % CALLERS_MAX;
  }
  caller->id = ++callers->generation * CALLERS_MAX + callers->next_slot;
  caller->address = *address;
  caller->address.delimiter = false; /* a matter of the message */
  caller->fd = fd;
  caller->end = &caller->first;
  struct caller **bucket = &callers->bucket[bucket_of(address)];
  caller->chain = *bucket;
  *bucket = caller;
  struct caller **bucket_fd = &callers->bucket_fd[(size_t)fd % CALLERS_MAX];
  caller->chain_fd = *bucket_fd;
  *bucket_fd = caller;
  callers->slot[callers->next_slot] = caller;
  callers->count++;
  return caller;
}

void callers_forget(struct callers *callers, struct caller *caller) {
  struct caller **link = &callers->bucket[bucket_of(&caller->address)];
  while (*link != NULL && *link != caller) {
    link = &(*link)->chain;
  }
  *link = *link != NULL ? caller->chain : NULL;
  link = &callers->bucket_fd[(size_t)caller->fd % CALLERS_MAX];
  while (*link != NULL && *link != caller) {
    link = &(*link)->chain_fd;
  }
  *link = *link != NULL ? caller->chain_fd : NULL;
}

void callers_drop(struct callers *callers, struct caller *caller) {
  callers_forget(callers, caller);
  for (struct note *note; (note = caller_take(callers, caller)) != NULL;) {
    free(note);
  }
  callers->slot[caller->id % CALLERS_MAX] = NULL;
  callers->count--;
  leave_account(caller->account);
  free(caller);
}

/* ---- in -------------------------------------------------------------------------------------- */

/* When all together have much waiting, one may have a frame; so those who have little are never
 * refused for those who have much. */
static size_t unserved_max(const struct callers *callers) {
  return callers->unserved > UNSERVED_BYTES_MAX / 2 ? FRAME_BYTES_MAX : CALLER_UNSERVED_BYTES_MAX;
}

enum status caller_note(struct callers *callers, struct caller *caller,
                        const struct wire_message *message) {
  bool readable = message->got == WIRE_MESSAGE;
  size_t payload_bytes = readable ? message->payload_bytes : sizeof message->why;
  size_t bytes = sizeof(struct note) + payload_bytes;
  bool fits = caller->first == NULL || caller->unserved + bytes <= unserved_max(callers);
  struct note *note = fits ? malloc(bytes) : NULL;
  if (note == NULL) {
    return fail(EXHAUSTED, fits ? "no memory for a message" : "too many requests under way");
  }
  *note = (struct note){.got = message->got,
                        .delimiter = message->from.delimiter,
                        .verb = message->verb,
                        .correlation = message->correlation,
                        .bytes = payload_bytes};
  if (payload_bytes > 0) {
    memcpy(note->payload, readable ? message->payload : (const void *)&message->why, payload_bytes);
  }
  *caller->end = note;
  caller->end = &note->next;
  caller->unserved += bytes;
  callers->unserved += bytes;
  return OK;
}

static void uncount(struct callers *callers, struct caller *caller, const struct note *note) {
  caller->unserved -= sizeof *note + note->bytes;
  callers->unserved -= sizeof *note + note->bytes;
}

void caller_forget(struct callers *callers, struct caller *caller, struct note *note) {
  uncount(callers, caller, note);
  free(note);
}

struct note *caller_take(struct callers *callers, struct caller *caller) {
  struct note *note = caller->first;
  if (note != NULL) {
    caller->first = note->next;
    caller->end = caller->first != NULL ? caller->end : &caller->first;
    uncount(callers, caller, note);
  }
  return note;
}

/* ---- out ------------------------------------------------------------------------------------- */

/* What a message costs in libzmq beside its payload: three slots of its queue, the header, the
 * bookkeeping of the frame. */
enum { MESSAGE_BYTES = 384 };

struct packed {
  struct account *account;
  size_t bytes;
  uint8_t data[];
};

size_t caller_unread(const struct caller *caller) { return atomic_load(&caller->account->unread); }

/* Called by libzmq, on whichever thread lets go of the frame last: written, or dropped with its
 * connection. */
static void written(void *data, void *hint) {
  struct packed *packed = hint;
  (void)data;
  atomic_fetch_sub(&packed->account->unread, packed->bytes);
  atomic_fetch_sub(packed->account->total, packed->bytes);
  leave_account(packed->account);
  free(packed);
}

enum status caller_pack(struct caller *caller, const ProtobufCMessage *message, size_t bytes,
                        zmq_msg_t *frame) {
  struct packed *packed = malloc(sizeof *packed + bytes);
  if (packed == NULL) {
    return fail(EXHAUSTED, "no memory for a message of %zu bytes", bytes);
  }
  packed->account = caller->account;
  packed->bytes = MESSAGE_BYTES + bytes;
  protobuf_c_message_pack(message, packed->data);
  if (zmq_msg_init_data(frame, packed->data, bytes, written, packed) != 0) {
    free(packed);
    return fail(EXHAUSTED, "no memory for a message of %zu bytes", bytes);
  }
  atomic_fetch_add(&caller->account->holders, 1);
  atomic_fetch_add(&caller->account->unread, packed->bytes);
  atomic_fetch_add(caller->account->total, packed->bytes);
  return OK;
}
