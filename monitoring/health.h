/* health.h - the admin port: GET /metrics, /healthz, /readyz, /version, served by a thread of its
 * own.
 *
 * /healthz is 200 "ok" while the process lives; /readyz is 200 "ready" or 503 with the reason;
 * anything else is 404, other methods are 405. Nothing here is authenticated: bind it where only
 * the operator can reach it.
 */
#ifndef DARKROOM_MONITORING_HEALTH_H
#define DARKROOM_MONITORING_HEALTH_H

#include <stdbool.h>
#include <stddef.h>

#include "base/settings.h"
#include "base/status.h"

#define HEALTH_REASON_BYTES_MAX 512

/* The row of a daemon's settings, whose structure has const char *admin; standard_: NULL for no
 * admin port unless it is asked for. */
#define HEALTH_SETTING(structure, standard_)                                                   \
  {                                                                                            \
    .name = "admin", .type = SETTING_TEXT, .field = offsetof(structure, admin),                \
    .standard = (standard_), .min = 1, .max = 256,                                             \
    .help =                                                                                    \
        "HOST:PORT, or :PORT for all addresses, of /metrics, /healthz, /readyz and /version; " \
        "port 0: any free one"                                                                 \
  }

struct health;

struct health_options {
  const char
      *address; /* "127.0.0.1:9100", "[::1]:0", ":9100" (all addresses); port 0: any free one */
  const char *version; /* the text of /version */
  /* Called on the admin thread at each /readyz: true, or false with one line of why in reason; of
   * one that is ready the line says what is amiss all the same, "" when nothing is.
   * NULL: always ready. */
  bool (*ready)(void *context, char *reason, size_t reason_bytes);
  void *context;
};

/* Starts serving. BAD_INPUT: the address cannot be read; UNAVAILABLE: it cannot be bound. Options
 * are copied, the texts and the context are borrowed until close. */
enum status health_open(const struct health_options *options, struct health **out);

/* Stops the thread and nulls *health; the ready callback is not called afterwards. */
void health_close(struct health **health);

/* The port that is served, also when 0 was asked for. */
int health_port(const struct health *health);

#endif
