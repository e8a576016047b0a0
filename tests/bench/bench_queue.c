/* bench_queue.c - load for a broker: jobs that take no time, from a client and to a worker of their
 * own processes. run-bench-queue starts broker and Redis, and measures (stage.h).
 *
 *   bench_queue ENDPOINT jobs watched|unwatched COUNT WINDOW SLOTS   to the end of all jobs
 *   bench_queue ENDPOINT submits COUNT WINDOW                        accepted, nobody takes them
 *   bench_queue ENDPOINT trips COUNT                                 one at a time, told of its end
 */
#include <assert.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include "tests/bench/side.h"
#include "tests/bench/stage.h"

enum { WAIT_MS = 10000, BEAT_AFTER_MS = 4000, TOLD_OF_COMPLETE = 4 };

/* What the worker's process tells the client's. */
struct shared {
  atomic_long completed;
  atomic_bool ready;
};

struct load {
  bool watched;
  long count, window, slots;
};

static const char *endpoint;
static struct shared *shared;

/* The messages want texts of their own. */
static char model_name[] = "null", worker_name[] = "bench";
static char prompt[STAGE_PROMPT_BYTES + 1], url[STAGE_RESULT_BYTES + 1];

/* ---- the worker that does nothing ------------------------------------------------------------ */

static uint64_t say_hello(struct side *side, long slots) {
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
  hello.slots = (uint32_t)slots;
  for (int tries = 0; tries < 200; tries++) {
    side_say(side, WIRE_HELLO, 1, &hello.base);
    const ProtobufCMessage *answer = side_hear(side, WAIT_MS);
    if (answer != NULL && side->message.verb == WIRE_WELCOME) {
      return ((const Darkroom__V1__Welcome *)answer)->generation;
    }
    clock_sleep_ms(20); /* the broker has not reached its Redis yet */
  }
  side_die("the broker does not welcome the worker");
  return 0;
}

static void beat(struct side *side, uint64_t generation) {
  Darkroom__V1__Beat message = DARKROOM__V1__BEAT__INIT;
  message.worker = worker_name;
  message.has_generation = true;
  message.generation = generation;
  side_say(side, WIRE_BEAT, 5, &message.base);
}

static void offer(struct side *side, uint64_t generation, long slots) {
  Darkroom__V1__Credit credit = DARKROOM__V1__CREDIT__INIT, *credits[] = {&credit};
  Darkroom__V1__Claim claim = DARKROOM__V1__CLAIM__INIT;
  credit.model = model_name;
  credit.has_jobs = true;
  credit.jobs = (uint32_t)slots;
  claim.worker = worker_name;
  claim.has_generation = true;
  claim.generation = generation;
  claim.credit = credits;
  claim.n_credit = 1;
  side_say(side, WIRE_CLAIM, 2, &claim.base);
}

static void finish(struct side *side, uint64_t generation, const Darkroom__V1__Assign *assign) {
  Darkroom__V1__Start start = DARKROOM__V1__START__INIT;
  Darkroom__V1__Complete complete = DARKROOM__V1__COMPLETE__INIT;
  Darkroom__V1__Artifact image = DARKROOM__V1__ARTIFACT__INIT, *images[] = {&image};
  image.url = url;
  start.worker = complete.worker = worker_name;
  start.has_generation = complete.has_generation = start.has_fence = complete.has_fence = true;
  start.generation = complete.generation = generation;
  start.fence = complete.fence = assign->fence;
  start.id = complete.id = assign->job->id;
  complete.image = images;
  complete.n_image = 1;
  side_say(side, WIRE_START, 3, &start.base);
  side_say(side, WIRE_COMPLETE, TOLD_OF_COMPLETE, &complete.base);
}

/* Looks at one message; whether it brought a job. */
static bool attend(struct side *side, uint64_t generation, const ProtobufCMessage *message) {
  if (side->message.verb == WIRE_ASSIGN) {
    finish(side, generation, (const Darkroom__V1__Assign *)message);
    return true;
  }
  if (side->message.verb == WIRE_ACK && side->message.correlation == TOLD_OF_COMPLETE) {
    if (((const Darkroom__V1__Ack *)message)->result != DARKROOM__V1__ACK_RESULT__ACK_OK) {
      side_die("a COMPLETE was not accepted");
    }
    atomic_fetch_add(&shared->completed, 1);
  }
  return false;
}

static _Noreturn void work(const struct load *load) {
  struct side side;
  side_open(&side, zmq_ctx_new(), endpoint, NULL);
  uint64_t generation = say_hello(&side, load->slots);
  if (load->slots > 0) {
    offer(&side, generation, load->slots);
  }
  atomic_store(&shared->ready, true);
  for (int64_t beaten_ms = clock_ms();;) {
    bool taken = false;
    for (const ProtobufCMessage *message = side_hear(&side, 500); message != NULL;
         message = side_hear(&side, 0)) {
      taken |= attend(&side, generation, message);
    }
    if (taken) {
      offer(&side, generation, load->slots); /* credits are replaced, not added */
    }
    if (clock_ms() - beaten_ms > BEAT_AFTER_MS) { /* one that is silent for long counts as gone */
      beat(&side, generation);
      beaten_ms = clock_ms();
    }
  }
}

/* ---- the client ------------------------------------------------------------------------------ */

static void submit(struct side *side, bool watched) {
  static uint64_t correlation;
  Darkroom__V1__Job job = DARKROOM__V1__JOB__INIT;
  Darkroom__V1__Submit message = DARKROOM__V1__SUBMIT__INIT;
  job.prompt = prompt;
  job.model = model_name;
  message.job = &job;
  message.has_watch = true;
  message.watch = watched;
  side_say(side, WIRE_SUBMIT, ++correlation, &message.base);
}

/* Submits count jobs, at most window of them not yet accepted, and waits until all are accepted
 * and, where somebody works, ended: as the client is told, or as the worker is. */
static void run(struct side *side, const struct load *load, long count) {
  long sent = 0, accepted = 0, ends = 0, completed_before = atomic_load(&shared->completed);
  int64_t heard_ms = clock_ms();
  for (;;) {
    long ended = load->slots == 0 ? count
                 : load->watched  ? ends
                                  : atomic_load(&shared->completed) - completed_before;
    if (accepted >= count && ended >= count) {
      return;
    }
    for (; sent < count && sent - accepted < load->window; sent++) {
      submit(side, load->watched);
    }
    const ProtobufCMessage *message = side_hear(side, load->watched ? WAIT_MS : 1);
    if (message == NULL && clock_ms() - heard_ms > WAIT_MS) {
      side_die("silence");
    }
    if (message == NULL) {
      continue;
    }
    heard_ms = clock_ms();
    if (side->message.verb == WIRE_ERROR) {
      fail(UNAVAILABLE, "%s", ((const Darkroom__V1__Error *)message)->message);
      side_die("a job was refused");
    }
    accepted += side->message.verb == WIRE_SUBMITTED;
    ends += side->message.verb == WIRE_EVENT && ((const Darkroom__V1__Event *)message)->kind ==
                                                    DARKROOM__V1__EVENT_KIND__EVENT_TERMINAL;
  }
}

static void trips(struct side *side, const struct load *load) {
  double *ms = malloc((size_t)load->count * sizeof *ms);
  assert(ms != NULL);
  for (long i = 0; i < load->count; i++) {
    clock_sleep_ms(STAGE_REST_MS);
    int64_t begun = clock_ns();
    run(side, load, 1);
    ms[i] = (double)(clock_ns() - begun) / 1e6;
  }
  stage_tell_spread(ms, load->count);
  free(ms);
}

/* ---- what is asked for ----------------------------------------------------------------------- */

static long number(int argc, char **argv, int at) {
  return argc > at ? strtol(argv[at], NULL, 10) : 0;
}

static struct load read_load(int argc, char **argv, const char *kind) {
  struct load load = {0};
  if (strcmp(kind, "jobs") == 0) {
    load = (struct load){.watched = argc > 3 && strcmp(argv[3], "watched") == 0,
                         .count = number(argc, argv, 4),
                         .window = number(argc, argv, 5),
                         .slots = number(argc, argv, 6)};
  } else if (strcmp(kind, "submits") == 0) {
    load = (struct load){.count = number(argc, argv, 3), .window = number(argc, argv, 4)};
  } else if (strcmp(kind, "trips") == 0) {
    load = (struct load){.watched = true, .count = number(argc, argv, 3), .window = 1, .slots = 1};
  }
  if (load.count <= 0 || load.window <= 0) {
    fprintf(stderr, "bench_queue: what to do is said as the head of bench_queue.c says\n");
    exit(64);
  }
  return load;
}

int main(int argc, char **argv) {
  const char *kind = argc > 2 ? argv[2] : "";
  struct load load = read_load(argc, argv, kind);
  struct side client;
  endpoint = argv[1];
  memset(prompt, 'x', STAGE_PROMPT_BYTES);
  memset(url, 'y', STAGE_RESULT_BYTES);
  shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  assert(shared != MAP_FAILED);
  pid_t worker = stage_fork();
  if (worker == 0) {
    work(&load);
  }
  while (!atomic_load(&shared->ready)) {
    if (waitpid(worker, NULL, WNOHANG) != 0) {
      side_die("the worker has left");
    }
    clock_sleep_ms(5);
  }
  side_open(&client, zmq_ctx_new(), endpoint, NULL); /* each process its own */
  run(&client, &load, load.window == 1 ? STAGE_WARM / 10 : STAGE_WARM);
  int64_t begun = stage_begin(worker, 0);
  if (strcmp(kind, "trips") == 0) {
    trips(&client, &load);
  } else {
    run(&client, &load, load.count);
  }
  stage_done(begun);
  kill(worker, SIGKILL);
  waitpid(worker, NULL, 0);
  _exit(0); /* nothing is owed to anybody */
}
