/* callers.h - the connections behind the door: who they are, and what they hold, in bytes. */
#ifndef DARKROOM_BROKER_CALLERS_H
#define DARKROOM_BROKER_CALLERS_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/limits.h"
#include "base/status.h"
#include "broker/identity.h"
#include "proto/wire.h"

/* A place in a list that leads back to its head; {0} or leading to itself: in no list. */
struct link {
  struct link *next, *back;
};
bool list_holds(const struct link *link);
void list_join(struct link *head, struct link *link); /* at the end; once in, it keeps its place */
void list_leave(struct link *link);
struct link *list_take(struct link *head); /* the first; NULL: empty */

/* A message that waits to be served. */
struct note {
  struct note *next;
  enum wire_got got;
  bool delimiter;
  enum wire_verb verb;
  uint64_t correlation;
  size_t bytes;
  uint8_t payload[]; /* of an unreadable one: its struct refusal */
};

/* Bytes that libzmq holds for a connection. Shared with its I/O thread, which counts down as it
 * writes; lives until the last of those bytes is freed. */
struct account {
  atomic_size_t unread;
  atomic_size_t *total; /* of all connections */
  atomic_uint holders;
};

struct caller {
  uint64_t id;
  struct wire_address address;
  int fd;               /* what the monitor will name when it ends */
  struct identity *who; /* NULL: it came through an open door */
  struct shares shares;
  bool gone;
  bool missed; /* news was left out */
  struct note *first, **end;
  size_t unserved; /* bytes of the notes */
  size_t promised; /* room kept for answers to its letters under way */
  struct account *account;
  struct link ready, slow, drained, closed; /* places in the door's lists */
  struct caller *chain, *chain_fd;
};

struct callers {
  struct caller *slot[CALLERS_MAX];
  struct caller *bucket[CALLERS_MAX], *bucket_fd[CALLERS_MAX]; /* by routing id, by descriptor */
  size_t count, next_slot;
  uint64_t generation;
  size_t unserved;      /* bytes of all notes */
  atomic_size_t unread; /* bytes of all accounts */
};

struct caller *callers_find(const struct callers *callers, uint64_t id);
struct caller *callers_by_address(const struct callers *callers,
                                  const struct wire_address *address);
struct caller *callers_by_fd(const struct callers *callers, int fd);
/* NULL: the table is full, or there is no memory. */
struct caller *callers_add(struct callers *callers, const struct wire_address *address, int fd);
/* Takes it out of the indexes: its routing id and its descriptor may be another's now. */
void callers_forget(struct callers *callers, struct caller *caller);
/* Frees it with all its notes. */
void callers_drop(struct callers *callers, struct caller *caller);

/* Keeps a copy of a message. EXHAUSTED: above what the connection, or all together, may have
 * waiting. */
enum status caller_note(struct callers *callers, struct caller *caller,
                        const struct wire_message *message);
/* Frees a note that has been taken out of the queue by hand. */
void caller_forget(struct callers *callers, struct caller *caller, struct note *note);
/* The first note, which is then the taker's to free. */
struct note *caller_take(struct callers *callers, struct caller *caller);

size_t caller_unread(const struct caller *caller);
/* A frame with the packed message whose bytes are in the caller's account until libzmq has written
 * them. */
enum status caller_pack(struct caller *caller, const ProtobufCMessage *message, size_t bytes,
                        zmq_msg_t *frame);

#endif
