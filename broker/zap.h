/* zap.h - the questions that libzmq asks about each handshake at a locked door (ZAP, ZeroMQ RFC
 * 27), and the broker's answers: the keyring's.
 *
 * libzmq asks from its own threads over inproc and goes on with other connections meanwhile; a
 * handshake that is not answered ends after its time (wire.c). What is answered becomes the User-Id
 * of every message of that connection: the key itself, so that it means the same in every keyring.
 */
#ifndef DARKROOM_BROKER_ZAP_H
#define DARKROOM_BROKER_ZAP_H

#include "base/status.h"
#include "broker/keyholders.h"

/* The one socket of a context that is asked, bound before any door is locked. EXHAUSTED: no socket
 * to be had. */
enum status zap_open(void *context, void **socket);
void zap_close(void **socket);

/* Answers what is asked, HANDSHAKES_A_TURN at most. */
void zap_answer(void *socket, const struct keyholders *keyholders);

#endif
