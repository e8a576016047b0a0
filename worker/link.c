/* link.c - a DEALER that is thrown away, with all that waits in it, whenever the broker changes. */
#include "worker/link.h"

#include "base/clock.h"
#include "monitoring/log.h"
#include "proto/context.h"

enum status link_open(struct link *link, const struct dealer_options *options, int64_t silence_ms) {
  *link = (struct link){.silence_ms = silence_ms};
  TRY(dealer_open(&link->dealer, options));
  return dealer_connect(&link->dealer);
}

void link_close(struct link *link) { dealer_disconnect(&link->dealer, CONTEXT_CLOSE_MS); }

uint64_t link_tell(struct link *link, enum wire_verb verb, const ProtobufCMessage *message) {
  uint64_t correlation = dealer_correlation(&link->dealer);
  if (link->dealer.socket == NULL) {
    return correlation; /* as good as a broker that is silent */
  }
  if (wire_send(link->dealer.socket, NULL, verb, correlation, message) != OK) {
    log_debug("not_sent", log_number("verb", verb), log_text("reason", fail_reason()));
  }
  return correlation;
}

uint64_t link_ask(struct link *link, enum wire_verb verb, const ProtobufCMessage *message) {
  if (link->asked_ms == 0) {
    link->asked_ms = clock_ms();
  }
  return link_tell(link, verb, message);
}

enum status link_receive(struct link *link, struct wire_message *message) {
  if (link->dealer.socket == NULL) {
    message->got = WIRE_NOTHING;
    return OK;
  }
  enum status status = dealer_receive(&link->dealer, message);
  if (status == UNAVAILABLE) {
    log_warning("broker_floods", log_text("left", dealer_endpoint(&link->dealer)));
    link->flooded = true;
    return OK;
  }
  /* only what answers something said here is a sign of life: whoever says anything else is no
   * broker of ours, however much it says */
  bool answers = status == OK && message->got == WIRE_MESSAGE && message->correlation != 0 &&
                 message->correlation <= link->dealer.correlation;
  if (answers) {
    link->heard = true;
    link->silent = 0;
    link->asked_ms = 0;
  }
  return status;
}

/* Said when it is left: until then another try may find it otherwise. */
static void log_why(struct link *link, const char *left) {
  enum dealer_locked locked = dealer_locked(&link->dealer);
  if (locked != DEALER_WELCOME) {
    log_error("broker_locked", log_text("broker", left),
              log_text("reason", dealer_locked_text(locked)));
  }
}

bool link_tend(struct link *link, int64_t now_ms) {
  bool silent = link->asked_ms != 0 && now_ms - link->asked_ms >= link->silence_ms;
  if (!silent && !link->flooded) {
    return false;
  }
  link->flooded = false;
  link->silent++;
  link->asked_ms = 0;
  const char *left = dealer_endpoint(&link->dealer);
  log_why(link, left);
  dealer_next(&link->dealer);
  if (silent) {
    log_warning("broker_silent", log_text("left", left),
                log_text("next", dealer_endpoint(&link->dealer)));
  }
  if (dealer_connect(&link->dealer) != OK) { /* the next silence tries again */
    log_error("broker_not_connected", log_text("reason", fail_reason()));
  }
  return true;
}

int64_t link_due_ms(const struct link *link) {
  if (link->flooded) {
    return 0;
  }
  return link->asked_ms == 0 ? INT64_MAX : link->asked_ms + link->silence_ms;
}

bool link_alive(const struct link *link) { return link->heard && link->silent == 0; }
