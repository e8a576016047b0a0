/* keyholders.h - the keyring as it is now: who has which key, read again when its file changes.
 *
 * A file that cannot be read as a whole changes nothing: the last good one holds, and the log, the
 * metric keyring_good and /metrics say so until it is mended. A row that is gone, is another now or
 * has reached its end makes its identity revoked; whoever has connections looks for that.
 */
#ifndef DARKROOM_BROKER_KEYHOLDERS_H
#define DARKROOM_BROKER_KEYHOLDERS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/status.h"
#include "broker/identity.h"

struct keyholders;

/* BAD_INPUT: the file is no keyring, and says where; UNAVAILABLE: it cannot be read. */
enum status keyholders_open(const char *path, struct keyholders **out);
void keyholders_close(struct keyholders **keyholders);

/* Looks at the file and the clock, at most once in KEYRING_LOOK_MS; true when an identity has been
 * revoked since. */
bool keyholders_tend(struct keyholders *keyholders, int64_t now_ms, int64_t wall_ms);

/* The holder of a public key, as text; NULL: none, or no longer. */
struct identity *keyholders_find(const struct keyholders *keyholders, const char *key);

/* A connection holds its identity until it gives it back; revoked ones are freed then. */
void keyholders_take(struct identity *identity);
void keyholders_give_back(struct keyholders *keyholders, struct identity *identity);

#endif
