/* bench_queue.c - submit to result with an engine that does nothing: a client and a null worker
 * against a real broker and a real redis-server with appendfsync always, all started here and
 * stopped at the end.
 *
 *   bench_queue [ROUNDS]        prints `name value unit`
 */
#include <assert.h>
#include <ftw.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "proto/wire.h"

enum {
  ROUNDS = 1000,
  WARM_ROUNDS = 100,
  OUTSTANDING = 64,
  WAIT_MS = 10000,
  CREDITS = 100,
  ARENA_BYTES = 1 << 20
};

struct place {
  char folder[64];
  char endpoint[128], redis_url[256], redis_socket[128];
  pid_t redis, broker;
};

struct side {
  void *socket;
  struct arena *arena;
  struct wire_message message;
};

static void *zmq_context;
static atomic_bool leaving;
static char endpoint[128];

/* The messages want texts of their own. */
static char model_name[] = "null", worker_name[] = "bench";
static char prompt[] = "a mountain landscape with a lake at sunset";

static void die(const char *what) {
  fprintf(stderr, "bench_queue: %s: %s\n", what, fail_reason());
  exit(1);
}

/* ---- processes ------------------------------------------------------------------------------- */

static pid_t spawn(const char *const *arguments, const char *log) {
  pid_t child = fork();
  if (child == 0) {
    if (freopen(log, "w", stdout) == NULL || dup2(STDOUT_FILENO, STDERR_FILENO) < 0) {
      _exit(126);
    }
    execvp(arguments[0], (char *const *)arguments); /* execvp promises not to write */
    _exit(127);
  }
  return child;
}

static void start_place(struct place *place, const char *broker) {
  snprintf(place->folder, sizeof place->folder, "/tmp/darkroom-bench-XXXXXX");
  if (mkdtemp(place->folder) == NULL) {
    die("no temporary folder");
  }
  char log[128], binary[512];
  snprintf(place->redis_socket, sizeof place->redis_socket, "%s/redis.sock", place->folder);
  snprintf(place->redis_url, sizeof place->redis_url, "unix://%s", place->redis_socket);
  snprintf(place->endpoint, sizeof place->endpoint, "ipc://%s/broker.sock", place->folder);
  snprintf(log, sizeof log, "%s/redis.log", place->folder);
  snprintf(binary, sizeof binary, "%s", broker);
  const char *redis[] = {"redis-server",
                         "--port",
                         "0",
                         "--unixsocket",
                         place->redis_socket,
                         "--dir",
                         place->folder,
                         "--save",
                         "",
                         "--appendonly",
                         "yes",
                         "--appendfsync",
                         "always",
                         NULL};
  const char *arguments[] = {binary,           "--listen",    place->endpoint, "--redis",
                             place->redis_url, "--log-level", "warning",       NULL};
  place->redis = spawn(redis, log);
  snprintf(log, sizeof log, "%s/broker.log", place->folder);
  place->broker = spawn(arguments, log);
}

static int remove_one(const char *path, const struct stat *about, int kind, struct FTW *place) {
  (void)about;
  (void)kind;
  (void)place;
  return remove(path);
}

static void stop_place(struct place *place) {
  kill(place->broker, SIGTERM);
  waitpid(place->broker, NULL, 0);
  kill(place->redis, SIGTERM);
  waitpid(place->redis, NULL, 0);
  if (nftw(place->folder, remove_one, 8, FTW_DEPTH | FTW_PHYS) != 0) {
    fprintf(stderr, "bench_queue: %s is left behind\n", place->folder);
  }
}

/* ---- the wire -------------------------------------------------------------------------------- */

static void side_open(struct side *side) {
  *side = (struct side){.socket = zmq_socket(zmq_context, ZMQ_DEALER)};
  if (wire_socket_options(side->socket, WIRE_ROLE_PEER) != OK ||
      zmq_connect(side->socket, endpoint) != 0 ||
      arena_open(NULL, ARENA_BYTES, &side->arena) != OK) {
    die("cannot connect");
  }
}

static void side_close(struct side *side) {
  wire_message_close(&side->message);
  zmq_close(side->socket);
  arena_close(&side->arena);
}

static void say(struct side *side, enum wire_verb verb, uint64_t correlation,
                const ProtobufCMessage *message) {
  if (wire_send(side->socket, NULL, verb, correlation, message) != OK) {
    die("cannot send");
  }
}

/* The next message, unpacked; NULL when none came in time. The one before is forgotten. */
static ProtobufCMessage *hear(struct side *side, int wait_ms) {
  arena_drop(side->arena);
  zmq_pollitem_t item = {.socket = side->socket, .events = ZMQ_POLLIN};
  ProtobufCMessage *out = NULL;
  if (zmq_poll(&item, 1, wait_ms) <= 0 || wire_receive(side->socket, &side->message) != OK ||
      side->message.got != WIRE_MESSAGE) {
    return NULL;
  }
  if (wire_unpack(side->message.verb, side->message.payload, side->message.payload_bytes,
                  side->arena, &out, NULL) != OK) {
    die("cannot read an answer");
  }
  return out;
}

/* ---- the worker that does nothing ------------------------------------------------------------ */

static uint64_t say_hello(struct side *side) {
  Darkroom__V1__ModelInfo model = DARKROOM__V1__MODEL_INFO__INIT, *models[] = {&model};
  Darkroom__V1__Hello hello = DARKROOM__V1__HELLO__INIT;
  model.id = model_name;
  model.has_default_side = model.has_max_side = true;
  model.default_side = model.max_side = 512;
  hello.default_model = model_name;
  hello.worker = worker_name;
  hello.model = models;
  hello.n_model = 1;
  hello.has_slots = true;
  hello.slots = CREDITS;
  for (int tries = 0; tries < 200; tries++) {
    say(side, WIRE_HELLO, 1, &hello.base);
    const ProtobufCMessage *answer = hear(side, WAIT_MS);
    if (answer != NULL && side->message.verb == WIRE_WELCOME) {
      return ((const Darkroom__V1__Welcome *)answer)->generation;
    }
    clock_sleep_ms(20); /* the broker has not reached its Redis yet */
  }
  die("the broker does not welcome the worker");
  return 0;
}

/* With a BEAT, as a worker that is silent for long counts as gone. */
static void offer(struct side *side, uint64_t generation) {
  Darkroom__V1__Beat beat = DARKROOM__V1__BEAT__INIT;
  beat.worker = worker_name;
  beat.has_generation = true;
  beat.generation = generation;
  say(side, WIRE_BEAT, 5, &beat.base);
  Darkroom__V1__Credit credit = DARKROOM__V1__CREDIT__INIT, *credits[] = {&credit};
  Darkroom__V1__Claim claim = DARKROOM__V1__CLAIM__INIT;
  credit.model = model_name;
  credit.has_jobs = true;
  credit.jobs = CREDITS;
  claim.worker = worker_name;
  claim.has_generation = true;
  claim.generation = generation;
  claim.credit = credits;
  claim.n_credit = 1;
  say(side, WIRE_CLAIM, 2, &claim.base);
}

static void finish(struct side *side, uint64_t generation, const Darkroom__V1__Assign *assign) {
  Darkroom__V1__Start start = DARKROOM__V1__START__INIT;
  Darkroom__V1__Complete complete = DARKROOM__V1__COMPLETE__INIT;
  start.worker = complete.worker = worker_name;
  start.has_generation = complete.has_generation = start.has_fence = complete.has_fence = true;
  start.generation = complete.generation = generation;
  start.fence = complete.fence = assign->fence;
  start.id = complete.id = assign->job->id;
  say(side, WIRE_START, 3, &start.base);
  say(side, WIRE_COMPLETE, 4, &complete.base);
}

static void *work(void *unused) {
  (void)unused;
  struct side side;
  side_open(&side);
  uint64_t generation = say_hello(&side);
  offer(&side, generation);
  int taken = 0;
  while (!leaving) {
    const ProtobufCMessage *message = hear(&side, 50);
    if (message != NULL && side.message.verb == WIRE_ASSIGN) {
      finish(&side, generation, (const Darkroom__V1__Assign *)message);
      if (++taken == CREDITS / 2) { /* credits are replaced, not added */
        offer(&side, generation);
        taken = 0;
      }
    }
  }
  side_close(&side);
  return NULL;
}

/* ---- the client ------------------------------------------------------------------------------ */

static void submit(struct side *side, uint64_t correlation) {
  Darkroom__V1__Job job = DARKROOM__V1__JOB__INIT;
  Darkroom__V1__Submit message = DARKROOM__V1__SUBMIT__INIT;
  job.prompt = prompt;
  job.model = model_name;
  message.job = &job;
  message.has_watch = message.watch = true;
  say(side, WIRE_SUBMIT, correlation, &message.base);
}

/* Waits for the id, then for the end, of any submit; the correlation number of the one that ended.
 */
static uint64_t hear_end(struct side *side, int64_t *accepted_ns) {
  for (;;) {
    const ProtobufCMessage *message = hear(side, WAIT_MS);
    if (message == NULL || side->message.verb == WIRE_ERROR) {
      const Darkroom__V1__Error *error = (const Darkroom__V1__Error *)message;
      fail(UNAVAILABLE, "%s", error != NULL ? error->message : "silence");
      die("a job did not end");
    }
    if (side->message.verb == WIRE_SUBMITTED && accepted_ns != NULL) {
      *accepted_ns = clock_ns();
    }
    if (side->message.verb == WIRE_EVENT &&
        ((const Darkroom__V1__Event *)message)->kind == DARKROOM__V1__EVENT_KIND__EVENT_TERMINAL) {
      return side->message.correlation;
    }
  }
}

static int ascending(const void *a, const void *b) {
  double left = *(const double *)a, right = *(const double *)b;
  return left < right ? -1 : left > right;
}

static void print_spread(const char *name, double *ms, int count) {
  qsort(ms, (size_t)count, sizeof *ms, ascending);
  printf("%s_p50 %.3f ms\n%s_p99 %.3f ms\n", name, ms[count / 2], name, ms[count * 99 / 100]);
}

static void bench_one_by_one(struct side *side, int rounds) {
  double *end_ms = malloc((size_t)rounds * sizeof *end_ms),
         *accepted_ms = malloc((size_t)rounds * sizeof *accepted_ms);
  assert(end_ms != NULL && accepted_ms != NULL);
  uint64_t correlation = 1;
  for (int i = -WARM_ROUNDS; i < rounds; i++) {
    int64_t started = clock_ns(), accepted = started;
    submit(side, correlation++);
    hear_end(side, &accepted);
    if (i >= 0) {
      end_ms[i] = (double)(clock_ns() - started) / 1e6;
      accepted_ms[i] = (double)(accepted - started) / 1e6;
    }
  }
  print_spread("queue_submit_to_id", accepted_ms, rounds);
  print_spread("queue_submit_to_result", end_ms, rounds);
  free(end_ms);
  free(accepted_ms);
}

static void bench_many(struct side *side, int jobs) {
  int64_t started = clock_ns();
  int sent = 0;
  for (; sent < OUTSTANDING; sent++) {
    submit(side, (uint64_t)sent + 1);
  }
  for (int ended = 0; ended < jobs; ended++) {
    hear_end(side, NULL);
    if (sent < jobs) {
      submit(side, (uint64_t)++sent);
    }
  }
  printf("queue_jobs_with_%d_outstanding %.0f jobs/s\n", OUTSTANDING,
         jobs / ((double)(clock_ns() - started) / 1e9));
}

int main(int argc, char **argv) {
  int rounds = argc > 1 ? (int)strtol(argv[1], NULL, 10) : ROUNDS;
  struct place place;
  char broker[512];
  struct side client;
  pthread_t worker;
  const char *slash = strstr(argv[0], "tests/bench");
  snprintf(broker, sizeof broker, "%.*sdarkroom-broker", slash != NULL ? (int)(slash - argv[0]) : 0,
           argv[0]);
  start_place(&place, slash != NULL ? broker : "darkroom-broker");
  snprintf(endpoint, sizeof endpoint, "%s", place.endpoint);
  zmq_context = zmq_ctx_new();
  if (pthread_create(&worker, NULL, work, NULL) != 0) {
    die("no thread");
  }
  side_open(&client);
  clock_sleep_ms(500); /* for the worker's hello */
  bench_one_by_one(&client, rounds);
  bench_many(&client, rounds * 4);
  leaving = true;
  pthread_join(worker, NULL);
  side_close(&client);
  zmq_ctx_term(zmq_context);
  stop_place(&place);
  return 0;
}
