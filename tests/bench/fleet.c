/* fleet.c - many workers and a client against several brokers, over the real wire, in one process.
 *
 * Each worker has a connection and a life of its own, takes one job at a time, and says again what
 * was not answered; the client submits COUNT jobs under ids of its own, and says each again until
 * it is accepted. Brokers may die meanwhile.
 *
 *   fleet WORKERS COUNT ENDPOINT...     prints what it was told, `name value` a line (stage.h)
 */
#include <assert.h>

#include "tests/bench/side.h"
#include "tests/bench/stage.h"

enum { AGAIN_MS = 3000, BEAT_EVERY_MS = 5000, WINDOW = 256, NAME_BYTES = 32, SILENCE_MS = 120000 };

enum doing { ARRIVING, ASKING, WORKING };

struct worker {
  struct side side;
  char name[NAME_BYTES];
  uint64_t generation;
  enum doing doing;
  int64_t said_ms, beaten_ms;
  char job[80]; /* WORKING */
  uint64_t fence;
};

/* A job that is not known to be accepted. */
struct submit {
  long number;
  int64_t said_ms; /* 0: nothing is here */
};

struct fleet {
  struct worker *workers;
  zmq_pollitem_t *items; /* the workers', then the clients' */
  int count, brokers;
  struct side *clients; /* one a broker */
  struct submit window[WINDOW];
  long wanted, next, accepted;
  long completed, repeated, stale, refused; /* answers to COMPLETE; refused submits */
  int64_t heard_ms;
};

static char model_name[] = "null", prompt[STAGE_PROMPT_BYTES + 1], url[STAGE_RESULT_BYTES + 1];

/* What cannot be sent is not, and is said again when its time has come. */
static void say(struct side *side, enum wire_verb verb, uint64_t correlation,
                const ProtobufCMessage *message) {
  (void)wire_send(side->socket, NULL, verb, correlation, message);
}

/* ---- workers --------------------------------------------------------------------------------- */

static void say_hello(struct worker *worker) {
  Darkroom__V1__ModelInfo model = DARKROOM__V1__MODEL_INFO__INIT, *models[] = {&model};
  Darkroom__V1__Hello hello = DARKROOM__V1__HELLO__INIT;
  model.id = model_name;
  model.has_default_side = model.has_max_side = true;
  model.default_side = model.max_side = 512;
  hello.default_model = model_name;
  hello.worker = worker->name;
  hello.token = worker->name; /* the same life, also when it has to say it again */
  hello.model = models;
  hello.n_model = 1;
  hello.has_slots = true;
  hello.slots = 1;
  say(&worker->side, WIRE_HELLO, 1, &hello.base);
}

static void ask(struct worker *worker) {
  Darkroom__V1__Credit credit = DARKROOM__V1__CREDIT__INIT, *credits[] = {&credit};
  Darkroom__V1__Claim claim = DARKROOM__V1__CLAIM__INIT;
  credit.model = model_name;
  credit.has_jobs = claim.has_alone = claim.alone = true;
  credit.jobs = 1;
  claim.worker = worker->name;
  claim.has_generation = true;
  claim.generation = worker->generation;
  claim.credit = credits;
  claim.n_credit = 1;
  say(&worker->side, WIRE_CLAIM, 2, &claim.base);
}

static void say_complete(struct worker *worker) {
  Darkroom__V1__Complete complete = DARKROOM__V1__COMPLETE__INIT;
  Darkroom__V1__Artifact image = DARKROOM__V1__ARTIFACT__INIT, *images[] = {&image};
  image.url = url;
  complete.worker = worker->name;
  complete.has_generation = complete.has_fence = true;
  complete.generation = worker->generation;
  complete.fence = worker->fence;
  complete.id = worker->job;
  complete.image = images;
  complete.n_image = 1;
  say(&worker->side, WIRE_COMPLETE, 4, &complete.base);
}

static void beat(struct worker *worker) {
  Darkroom__V1__Beat message = DARKROOM__V1__BEAT__INIT;
  message.worker = worker->name;
  message.has_generation = true;
  message.generation = worker->generation;
  say(&worker->side, WIRE_BEAT, 5, &message.base);
}

/* Says what belongs to what it is doing, for the first time or again. */
static void speak(struct worker *worker, enum doing doing, int64_t now_ms) {
  static void (*const words[])(struct worker *) = {
      [ARRIVING] = say_hello, [ASKING] = ask, [WORKING] = say_complete};
  worker->doing = doing;
  worker->said_ms = now_ms;
  words[doing](worker);
}

static void take_ack(struct fleet *fleet, struct worker *worker, const Darkroom__V1__Ack *ack) {
  if (worker->side.message.correlation != 4 || worker->doing != WORKING ||
      ack->fence != worker->fence) {
    return; /* an answer that came twice */
  }
  long *const counts[] = {[DARKROOM__V1__ACK_RESULT__ACK_OK] = &fleet->completed,
                          [DARKROOM__V1__ACK_RESULT__ACK_ALREADY] = &fleet->repeated};
  bool good = (size_t)ack->result < sizeof counts / sizeof *counts && counts[ack->result] != NULL;
  ++*(good ? counts[ack->result] : &fleet->stale);
  speak(worker, ASKING, clock_ms());
}

static void attend(struct fleet *fleet, struct worker *worker) {
  const ProtobufCMessage *message;
  while ((message = side_hear(&worker->side, 0)) != NULL) {
    fleet->heard_ms = clock_ms();
    if (worker->side.message.verb == WIRE_WELCOME && worker->doing == ARRIVING) {
      worker->generation = ((const Darkroom__V1__Welcome *)message)->generation;
      speak(worker, ASKING, fleet->heard_ms);
    } else if (worker->side.message.verb == WIRE_ASSIGN && worker->doing == ASKING) {
      const Darkroom__V1__Assign *assign = (const Darkroom__V1__Assign *)message;
      snprintf(worker->job, sizeof worker->job, "%s", assign->job->id);
      worker->fence = assign->fence;
      speak(worker, WORKING, fleet->heard_ms);
    } else if (worker->side.message.verb == WIRE_ACK) {
      take_ack(fleet, worker, (const Darkroom__V1__Ack *)message);
    }
  }
}

static void mind_time(struct worker *worker, int64_t now_ms) {
  if (worker->doing != ARRIVING && now_ms - worker->beaten_ms > BEAT_EVERY_MS) {
    beat(worker);
    worker->beaten_ms = now_ms;
  }
  if (now_ms - worker->said_ms > AGAIN_MS) {
    speak(worker, worker->doing, now_ms);
  }
}

/* ---- the client ------------------------------------------------------------------------------ */

static void submit(struct fleet *fleet, struct submit *row, int64_t now_ms) {
  char id[NAME_BYTES];
  Darkroom__V1__Job job = DARKROOM__V1__JOB__INIT;
  Darkroom__V1__Submit message = DARKROOM__V1__SUBMIT__INIT;
  snprintf(id, sizeof id, "fleet-%ld", row->number);
  job.id = id;
  job.prompt = prompt;
  job.model = model_name;
  message.job = &job;
  row->said_ms = now_ms;
  /* Another broker each time: one of them may be gone. */
  struct side *client = &fleet->clients[(row->number + now_ms / AGAIN_MS) % fleet->brokers];
  say(client, WIRE_SUBMIT, (uint64_t)(row - fleet->window) + 1, &message.base);
}

static void hear_answers(struct fleet *fleet, struct side *client) {
  const ProtobufCMessage *message;
  while ((message = side_hear(client, 0)) != NULL) {
    fleet->heard_ms = clock_ms();
    uint64_t at = client->message.correlation - 1;
    char id[NAME_BYTES];
    if (at >= WINDOW || fleet->window[at].said_ms == 0) {
      continue;
    }
    snprintf(id, sizeof id, "fleet-%ld", fleet->window[at].number);
    if (client->message.verb == WIRE_SUBMITTED &&
        strcmp(((const Darkroom__V1__Submitted *)message)->id, id) == 0) {
      fleet->window[at].said_ms = 0;
      fleet->accepted++;
    } else if (client->message.verb == WIRE_ERROR) {
      fleet->refused++; /* it is said again when its time has come */
    }
  }
}

static void submit_more(struct fleet *fleet, int64_t now_ms) {
  for (int i = 0; i < WINDOW; i++) {
    struct submit *row = &fleet->window[i];
    if (row->said_ms == 0 && fleet->next < fleet->wanted) {
      row->number = fleet->next++;
      submit(fleet, row, now_ms);
    } else if (row->said_ms != 0 && now_ms - row->said_ms > AGAIN_MS) {
      submit(fleet, row, now_ms);
    }
  }
}

/* ---- all of them ----------------------------------------------------------------------------- */

static void turn(struct fleet *fleet) {
  int total = fleet->count + fleet->brokers;
  if (zmq_poll(fleet->items, total, 100) < 0) {
    side_die("cannot poll");
  }
  int64_t now_ms = clock_ms();
  for (int i = 0; i < fleet->count; i++) {
    if (fleet->items[i].revents != 0) {
      attend(fleet, &fleet->workers[i]);
    }
    mind_time(&fleet->workers[i], now_ms);
  }
  for (int i = 0; i < fleet->brokers; i++) {
    hear_answers(fleet, &fleet->clients[i]);
  }
  submit_more(fleet, now_ms);
  if (now_ms - fleet->heard_ms > SILENCE_MS) {
    side_die("silence");
  }
}

static void open_all(struct fleet *fleet, char **endpoints) {
  void *context = zmq_ctx_new();
  struct arena *arena;
  int total = fleet->count + fleet->brokers;
  fleet->workers = calloc((size_t)fleet->count, sizeof *fleet->workers);
  fleet->clients = calloc((size_t)fleet->brokers, sizeof *fleet->clients);
  fleet->items = calloc((size_t)total, sizeof *fleet->items);
  if (fleet->workers == NULL || fleet->clients == NULL || fleet->items == NULL ||
      zmq_ctx_set(context, ZMQ_MAX_SOCKETS, total + 16) != 0 ||
      arena_open(NULL, SIDE_ARENA_BYTES, &arena) != OK) {
    side_die("no memory");
  }
  for (int i = 0; i < total; i++) {
    bool works = i < fleet->count;
    struct side *side = works ? &fleet->workers[i].side : &fleet->clients[i - fleet->count];
    side_open(side, context, endpoints[i % fleet->brokers], arena);
    fleet->items[i] = (zmq_pollitem_t){.socket = side->socket, .events = ZMQ_POLLIN};
    if (works) {
      snprintf(fleet->workers[i].name, NAME_BYTES, "fleet-%d", i);
      speak(&fleet->workers[i], ARRIVING, clock_ms());
    }
  }
}

static int arrived(const struct fleet *fleet) {
  int there = 0;
  for (int i = 0; i < fleet->count; i++) {
    there += fleet->workers[i].doing != ARRIVING;
  }
  return there;
}

int main(int argc, char **argv) {
  if (argc < 4) {
    fprintf(stderr, "fleet WORKERS COUNT ENDPOINT...\n");
    return 64;
  }
  struct fleet fleet = {.count = (int)strtol(argv[1], NULL, 10), .brokers = argc - 3};
  long wanted = strtol(argv[2], NULL, 10);
  assert(fleet.count > 0 && wanted > 0);
  memset(prompt, 'x', STAGE_PROMPT_BYTES);
  memset(url, 'y', STAGE_RESULT_BYTES);
  fleet.heard_ms = clock_ms();
  open_all(&fleet, argv + 3);
  while (arrived(&fleet) < fleet.count) {
    turn(&fleet);
  }
  int64_t begun = stage_begin(0, 0);
  fleet.wanted = wanted;
  while (fleet.accepted < wanted || fleet.completed + fleet.repeated < wanted) {
    turn(&fleet);
  }
  stage_tell("accepted", (double)fleet.accepted);
  stage_tell("completed", (double)fleet.completed);
  stage_tell("repeated", (double)fleet.repeated);
  stage_tell("stale", (double)fleet.stale);
  stage_tell("refused", (double)fleet.refused);
  stage_done(begun);
  _exit(0);
}
