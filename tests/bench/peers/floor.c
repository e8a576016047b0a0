/* floor.c - what any durable queue over ZeroMQ and Redis must pay at least: a job's three writes as
 * three scripts, and no feature at all. A client, a broker and a worker, each a process (stage.h).
 *
 *   floor ENDPOINT REDIS_SOCKET jobs COUNT WINDOW SLOTS | submits COUNT WINDOW | trips COUNT
 *
 * One letter says what a message is. Client: S, then the job; it is told A (accepted, and with
 * `appendfsync always` on disk) and E (ended). Worker: C, then how many it takes; broker: J, then
 * the number of the job, a NUL and the job; worker: R, then the number, a NUL and the result.
 */
#include <assert.h>
#include <hiredis/hiredis.h>
#include <sys/wait.h>
#include <zmq.h>

#include "tests/bench/stage.h"

enum { FRAME_BYTES = 1024, TURN_MESSAGES = 1024, NUMBER_BYTES = 24, ADDRESS_BYTES = 32 };

enum script { SUBMIT, CLAIM, END, SCRIPTS };

static const char *const sources[SCRIPTS] = {
    [SUBMIT] =
        "local number = redis.call('INCR', 'last')\n"
        "redis.call('HSET', 'job:' .. number, 'job', ARGV[1], 'state', 'Q')\n"
        "redis.call('LPUSH', 'line', number)\n"
        "return number",
    [CLAIM] =
        "local number = redis.call('RPOP', 'line')\n"
        "if not number then return {} end\n"
        "redis.call('HSET', 'job:' .. number, 'state', 'A', 'worker', 'w1')\n"
        "redis.call('ZADD', 'leases', ARGV[1], number)\n"
        "return {number, redis.call('HGET', 'job:' .. number, 'job')}",
    [END] =
        "if redis.call('ZREM', 'leases', ARGV[1]) == 0 then return 0 end\n"
        "redis.call('HSET', 'job:' .. ARGV[1], 'state', 'D', 'result', ARGV[2])\n"
        "redis.call('XADD', 'ended', 'MAXLEN', '~', 10000, '*', 'job', ARGV[1])\n"
        "return 1",
};

struct floor {
  const char *endpoint, *redis;
  long count, window, slots;
};

struct broker {
  redisContext *redis;
  void *socket;
  char sha[SCRIPTS][64];
  char address[2][ADDRESS_BYTES]; /* of the client and of the worker */
  int address_bytes[2];
  enum script asked[3 * TURN_MESSAGES];
  int calls;
  long waiting, credits;
};

static void die(const char *what) {
  fprintf(stderr, "floor: %s\n", what);
  exit(1);
}

static void say(void *socket, const char *bytes, size_t size) {
  if (zmq_send(socket, bytes, size, 0) < 0) {
    die("cannot send");
  }
}

static void *dealer(const struct floor *floor) {
  void *socket = zmq_socket(zmq_ctx_new(), ZMQ_DEALER);
  if (socket == NULL || zmq_connect(socket, floor->endpoint) != 0) {
    die("cannot connect");
  }
  return socket;
}

/* ---- broker ---------------------------------------------------------------------------------- */

static void call(struct broker *broker, enum script script, const char *first, size_t first_bytes,
                 const char *second, size_t second_bytes) {
  const char *words[] = {"EVALSHA", broker->sha[script], "0", first, second};
  size_t bytes[] = {7, strlen(broker->sha[script]), 1, first_bytes, second_bytes};
  redisAppendCommandArgv(broker->redis, second == NULL ? 4 : 5, words, bytes);
  broker->asked[broker->calls++] = script;
}

/* What a client or worker says; its first letter tells who it is. */
static void take(struct broker *broker, char *frame, size_t bytes) {
  if (frame[0] == 'S') {
    call(broker, SUBMIT, frame + 1, bytes - 1, NULL, 0);
    broker->waiting++;
  } else if (frame[0] == 'C') {
    broker->credits += strtol(frame + 1, NULL, 10);
  } else {
    size_t number = strlen(frame + 1);
    call(broker, END, frame + 1, number, frame + number + 2, bytes - number - 2);
    broker->credits++;
  }
}

/* Waits for a message, and takes what else has come. */
static void listen_turn(struct broker *broker) {
  char address[ADDRESS_BYTES], frame[FRAME_BYTES + 1];
  for (int flags = 0; broker->calls < TURN_MESSAGES; flags = ZMQ_DONTWAIT) {
    int address_bytes = zmq_recv(broker->socket, address, sizeof address, flags);
    if (address_bytes < 0) {
      return;
    }
    int bytes = zmq_recv(broker->socket, frame, FRAME_BYTES, 0);
    assert(bytes > 0 && address_bytes <= ADDRESS_BYTES);
    frame[bytes] = '\0';
    int who = frame[0] == 'S' ? 0 : 1;
    memcpy(broker->address[who], address, (size_t)address_bytes);
    broker->address_bytes[who] = address_bytes;
    take(broker, frame, (size_t)bytes);
  }
}

static void tell(struct broker *broker, int who, const char *bytes, size_t size) {
  size_t address = (size_t)broker->address_bytes[who];
  if (zmq_send(broker->socket, broker->address[who], address, ZMQ_SNDMORE) < 0) {
    die("cannot send");
  }
  say(broker->socket, bytes, size);
}

static void answer(struct broker *broker, enum script script, const redisReply *reply) {
  if (script == SUBMIT) {
    tell(broker, 0, "A", 1);
  } else if (script == END) {
    tell(broker, 0, "E", 1);
  } else {
    char frame[FRAME_BYTES];
    assert(reply->elements == 2 && reply->element[1]->len < FRAME_BYTES - NUMBER_BYTES - 2);
    int head = snprintf(frame, NUMBER_BYTES, "J%s", reply->element[0]->str) + 1;
    memcpy(frame + head, reply->element[1]->str, reply->element[1]->len);
    tell(broker, 1, frame, (size_t)head + reply->element[1]->len);
  }
}

static _Noreturn void serve(const struct floor *floor) {
  static struct broker broker;
  broker.redis = redisConnectUnix(floor->redis);
  broker.socket = zmq_socket(zmq_ctx_new(), ZMQ_ROUTER);
  if (broker.redis == NULL || broker.redis->err != 0 ||
      zmq_bind(broker.socket, floor->endpoint) != 0) {
    die("the broker cannot start");
  }
  for (int i = 0; i < SCRIPTS; i++) {
    redisReply *reply = redisCommand(broker.redis, "SCRIPT LOAD %s", sources[i]);
    assert(reply != NULL && reply->type == REDIS_REPLY_STRING);
    snprintf(broker.sha[i], sizeof broker.sha[i], "%s", reply->str);
    freeReplyObject(reply);
  }
  for (;;) {
    broker.calls = 0;
    listen_turn(&broker);
    for (; broker.credits > 0 && broker.waiting > 0; broker.credits--, broker.waiting--) {
      call(&broker, CLAIM, "1790000000000", 13, NULL, 0);
    }
    for (int i = 0; i < broker.calls; i++) {
      redisReply *reply = NULL;
      if (redisGetReply(broker.redis, (void **)&reply) != REDIS_OK ||
          reply->type == REDIS_REPLY_ERROR) {
        die("Redis refuses");
      }
      answer(&broker, broker.asked[i], reply);
      freeReplyObject(reply);
    }
  }
}

/* ---- worker and client ----------------------------------------------------------------------- */

static _Noreturn void work(const struct floor *floor) {
  void *socket = dealer(floor);
  char frame[FRAME_BYTES];
  int head = snprintf(frame, sizeof frame, "C%ld", floor->slots);
  say(socket, frame, (size_t)head);
  for (;;) {
    if (zmq_recv(socket, frame, sizeof frame, 0) < 2) {
      die("the worker cannot receive");
    }
    frame[0] = 'R';
    size_t number = strlen(frame) + 1;
    memset(frame + number, 'y', STAGE_RESULT_BYTES);
    say(socket, frame, number + STAGE_RESULT_BYTES);
  }
}

static void run(void *socket, const struct floor *floor, long count) {
  char job[STAGE_PROMPT_BYTES + 1], letter;
  memset(job, 'x', sizeof job);
  job[0] = 'S';
  for (long sent = 0, accepted = 0, ended = floor->slots == 0 ? count : 0;
       accepted < count || ended < count;) {
    for (; sent < count && sent - accepted < floor->window; sent++) {
      say(socket, job, sizeof job);
    }
    if (zmq_recv(socket, &letter, 1, 0) != 1) {
      die("the client cannot receive");
    }
    accepted += letter == 'A';
    ended += letter == 'E';
  }
}

static void trips(void *socket, const struct floor *floor) {
  double *ms = malloc((size_t)floor->count * sizeof *ms);
  assert(ms != NULL);
  for (long i = 0; i < floor->count; i++) {
    clock_sleep_ms(STAGE_REST_MS);
    int64_t begun = clock_ns();
    run(socket, floor, 1);
    ms[i] = (double)(clock_ns() - begun) / 1e6;
  }
  stage_tell_spread(ms, floor->count);
  free(ms);
}

int main(int argc, char **argv) {
  if (argc < 5) {
    fprintf(stderr, "floor: what to do is said as the head of floor.c says\n");
    return 64;
  }
  bool one_by_one = strcmp(argv[3], "trips") == 0;
  struct floor floor = {.endpoint = argv[1],
                        .redis = argv[2],
                        .count = strtol(argv[4], NULL, 10),
                        .window = argc > 5 ? strtol(argv[5], NULL, 10) : 1,
                        .slots = argc > 6 ? strtol(argv[6], NULL, 10) : one_by_one};
  pid_t broker = stage_fork();
  if (broker == 0) {
    serve(&floor);
  }
  pid_t worker = floor.slots > 0 ? stage_fork() : 0;
  if (worker == 0 && floor.slots > 0) {
    work(&floor);
  }
  void *socket = dealer(&floor);
  run(socket, &floor, floor.window == 1 ? STAGE_WARM / 10 : STAGE_WARM);
  int64_t begun = stage_begin(broker, worker);
  if (one_by_one) {
    trips(socket, &floor);
  } else {
    run(socket, &floor, floor.count);
  }
  stage_done(begun);
  kill(broker, SIGKILL);
  waitpid(broker, NULL, 0);
  if (worker > 0) {
    kill(worker, SIGKILL);
    waitpid(worker, NULL, 0);
  }
  _exit(0);
}
