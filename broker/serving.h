/* serving.h - what every verb stands on: requests, answers, and the questions that both kinds ask.
 *
 * turn.c drives the verbs and the verbs are driven; this is the ground under both.
 */
#ifndef DARKROOM_BROKER_SERVING_H
#define DARKROOM_BROKER_SERVING_H

#include <stdbool.h>
#include <stdint.h>

#include "base/status.h"
#include "broker/door.h"
#include "proto/wire.h"

struct peer;
struct request;
struct turn;
struct verb;

/* Adds a request of this verb to this round, or to the next when called from an answer. NULL when
 * the turn is full. */
struct request *turn_request(struct turn *turn, const struct verb *verb);

/* The same for an errand of the broker's own: those are made again by the clock or by a lapsed
 * lease. */
struct request *turn_errand(struct turn *turn, const struct verb *verb, const void *subject);

/* Sends to the peer of a request or another one. A peer that has gone is not an error of the turn:
 * it is let go of, and false says so. */
bool turn_send(struct turn *turn, const struct peer *peer, enum wire_verb verb,
               const ProtobufCMessage *message);

/* The same for what nobody asked for just now: an event, a job. What finds no room is left out
 * (DOOR_FULL), and turn.c makes the watches of that connection due when it has read. */
enum door_sent turn_tell(struct turn *turn, const struct peer *peer, enum wire_verb verb,
                         const ProtobufCMessage *message);

/* ERROR with what the refusal says. */
void turn_send_refusal(struct turn *turn, const struct peer *peer, const struct refusal *why);

/* Tells the sender of a request that it failed: as request->why says, or what the status and the
 * reason of the failure say; request->why is empty afterwards. A request may be refused in part: it
 * is one ERROR for each part. */
void turn_refuse(struct turn *turn, struct request *request, enum status status);

/* printf into the turn's arena; "" without memory. */
char *turn_text(struct turn *turn, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* ERROR_FIELD for an id that is missing or not an id. */
enum status verb_check_id(struct request *request, const char *field, const char *id);
/* The same for a worker's name, which must be its sender's: FORBIDDEN otherwise. */
enum status verb_check_worker(struct request *request, const char *worker);
/* Whose jobs a request is about, into request->tenant: its sender's tenant, or the one that an
 * operator names, which is logged. FORBIDDEN: it is not his to name. */
enum status verb_take_tenant(struct request *request, const char *named);
/* The same, and which one, into request->job: its name in the queue. */
enum status verb_take_job(struct turn *turn, struct request *request, const char *named,
                          const char *id);
/* The name of a job that a worker speaks of; its tenant is as ASSIGN said it. */
enum status verb_take_lease(struct turn *turn, struct request *request, const char *tenant,
                            const char *id);
/* Counts jobs that have ended. */
void verb_count_ended(Darkroom__V1__JobState state, uint64_t jobs);

#endif
