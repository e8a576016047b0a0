/* zap.c - a REP socket: one question, one answer. */
#include "broker/zap.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <zmq.h>

#include "base/limits.h"
#include "monitoring/log.h"
#include "monitoring/metrics.h"

#define ENDPOINT "inproc://zeromq.zap.01"
#define VERSION "1.0"

enum status zap_open(void *context, void **socket) {
  int unbounded = 0;
  void *made = zmq_socket(context, ZMQ_REP);
  if (made == NULL || zmq_setsockopt(made, ZMQ_RCVHWM, &unbounded, sizeof unbounded) != 0 ||
      zmq_bind(made, ENDPOINT) != 0) {
    fail_record(NULL, "nobody can be asked about keys: %s", zmq_strerror(errno));
    zap_close(&made);
    return EXHAUSTED;
  }
  *socket = made;
  return OK;
}

void zap_close(void **socket) {
  if (*socket != NULL) {
    zmq_close(*socket);
    *socket = NULL;
  }
}

/* ---- a question ------------------------------------------------------------------------------ */

/* The frames of RFC 27, in their order; of a mechanism with one credential. */
enum {
  FRAME_VERSION,
  FRAME_NUMBER,
  FRAME_DOMAIN,
  FRAME_ADDRESS,
  FRAME_ID,
  FRAME_MECHANISM,
  FRAME_KEY,
  FRAMES
};
enum { FRAME_ROOM = 64 };

struct question {
  uint8_t frame[FRAMES][FRAME_ROOM];
  size_t bytes[FRAMES]; /* 0 also of a frame that is longer than any may be */
  size_t frames;
};

/* False when nobody asks. */
static bool take(void *socket, struct question *out) {
  int more = 1;
  *out = (struct question){0};
  while (more != 0) {
    uint8_t rest[FRAME_ROOM];
    bool known = out->frames < FRAMES;
    int got = zmq_recv(socket, known ? out->frame[out->frames] : rest, FRAME_ROOM, ZMQ_DONTWAIT);
    if (got < 0) {
      return false;
    }
    if (known) {
      out->bytes[out->frames] = (size_t)got <= FRAME_ROOM ? (size_t)got : 0; /* none of ours */
    }
    out->frames++;
    size_t size = sizeof more;
    if (zmq_getsockopt(socket, ZMQ_RCVMORE, &more, &size) != 0) {
      return false;
    }
  }
  return true;
}

static bool frame_is(const struct question *question, int frame, const char *text) {
  size_t bytes = strlen(text);
  return question->bytes[frame] == bytes && memcmp(question->frame[frame], text, bytes) == 0;
}

/* ---- an answer ------------------------------------------------------------------------------- */

struct verdict {
  const char *code, *result;
  const struct identity *who;
};

/* 400 ends a peer's tries; 300 says: for now (RFC 27). */
static struct verdict judge(const struct question *question, const struct keyholders *keyholders,
                            char key[KEY_TEXT_BYTES]) {
  bool ours = question->frames == FRAMES && frame_is(question, FRAME_VERSION, VERSION) &&
              frame_is(question, FRAME_MECHANISM, "CURVE") &&
              question->bytes[FRAME_KEY] == KEY_BYTES &&
              zmq_z85_encode(key, question->frame[FRAME_KEY], KEY_BYTES) != NULL;
  const struct identity *who = ours ? keyholders_find(keyholders, key) : NULL;
  if (who == NULL) {
    return (struct verdict){"400", "unknown", NULL};
  }
  bool full = who->connections >= (who->row.limits.connections != 0 ? who->row.limits.connections
                                                                    : KEY_CONNECTIONS_MAX);
  return full ? (struct verdict){"300", "too_many", NULL} : (struct verdict){"200", "welcome", who};
}

static void reply(void *socket, const struct question *question, const struct verdict *verdict,
                  const char *key) {
  const struct {
    const void *data;
    size_t bytes;
  } frames[] = {{VERSION, strlen(VERSION)},
                {question->frame[FRAME_NUMBER], question->bytes[FRAME_NUMBER]},
                {verdict->code, strlen(verdict->code)},
                {verdict->result, strlen(verdict->result)},
                {key, verdict->who != NULL ? strlen(key) : 0},
                {"", 0}};
  enum { COUNT = sizeof frames / sizeof frames[0] };
  for (size_t i = 0; i < COUNT; i++) {
    int flags = ZMQ_DONTWAIT | (i + 1 < COUNT ? ZMQ_SNDMORE : 0);
    if (zmq_send(socket, frames[i].data, frames[i].bytes, flags) < 0) {
      log_warning("handshake_not_answered", log_text("reason", zmq_strerror(errno)));
      return;
    }
  }
}

/* A key that is not known is told as it is: it is public, and an operator finds by it whose it was.
 */
static void note(const struct question *question, const struct verdict *verdict, const char *key) {
  char address[FRAME_ROOM + 1] = "";
  size_t bytes = question->bytes[FRAME_ADDRESS];
  memcpy(address, question->frame[FRAME_ADDRESS], bytes);
  metric_add_labelled(M_HANDSHAKES, verdict->result, 1);
  if (verdict->who == NULL) {
    log_warning("handshake_refused", log_text("result", verdict->result), log_text("key", key),
                log_text("address", address));
  } else {
    log_debug("handshake", log_text("key", verdict->who->row.name), log_text("address", address));
  }
}

void zap_answer(void *socket, const struct keyholders *keyholders) {
  struct question question;
  for (int i = 0; i < HANDSHAKES_A_TURN && take(socket, &question); i++) {
    char key[KEY_TEXT_BYTES] = "";
    struct verdict verdict = judge(&question, keyholders, key);
    reply(socket, &question, &verdict, key);
    note(&question, &verdict, key);
  }
}
