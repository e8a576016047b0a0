/* limits_keys.h - maxima of keys and of what their holders may ask for; limits.h includes it. */
#ifndef DARKROOM_BASE_LIMITS_KEYS_H
#define DARKROOM_BASE_LIMITS_KEYS_H

#include "base/limits_job.h"

#define KEYRING_ROWS_MAX 16384
#define KEYRING_BYTES_MAX (32 * 1024 * 1024)
#define KEYRING_MODELS_BYTES_MAX 512 /* of the list in one row */
#define KEY_LIMIT_MAX 1000000000     /* of any number in a row */
#define KEY_CONNECTIONS_MAX 4096     /* of one key at one broker, unless its row says otherwise */

#define TENANT_WATCHES_MAX 16384 /* at one broker, through keys */

/* a job's name inside the queue: tenant/id */
#define JOB_NAME_TEXT_MAX (2 * JOB_ID_BYTES_MAX + 2)

#define ALLOWANCE_BURST_MS 1000 /* what may be taken at once, as time at the allowed rate */
#define LIST_ROWS_A_MESSAGE 10  /* rows of a LIST that cost as much as one message */
#define HANDSHAKES_A_TURN 64    /* questions of ZAP that are answered at once */
#define KEYRING_LOOK_MS 1000    /* how often the keyring's file is looked at */
#define REVOKED_END_MS 5000     /* by when the connections of a revoked key have ended */

_Static_assert(KEYRING_BYTES_MAX / KEYRING_ROWS_MAX >= 2 * KEYRING_MODELS_BYTES_MAX + 512,
               "a keyring of the most rows fits in a file of the most bytes");
_Static_assert(3 * KEYRING_LOOK_MS < REVOKED_END_MS,
               "a revoked key is found before its connections must have ended, also when Redis "
               "holds a turn for two seconds");

#endif
