/* main.c - darkroom-broker: settings, sockets, the loop, and leaving on SIGTERM. */
#include <malloc.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/limits.h"
#include "base/process.h"
#include "base/settings.h"
#include "base/version.h"
#include "broker/listen.h"
#include "broker/reply.h"
#include "broker/turn.h"
#include "broker/upkeep.h"
#include "monitoring/health.h"
#include "monitoring/log.h"
#include "monitoring/metrics.h"
#include "proto/endpoint.h"

enum { WAIT_MS_MAX = 100, TEND_MS = 1000, MONITOR_FD_ITEMS = 2 };
enum { FREE_BYTES_KEPT = 8 * 1024 * 1024, MAPPED_BYTES_MIN = 128 * 1024 };

struct broker_settings {
  const char *listen, *key, *keyring, *redis, *prefix, *admin;
  int64_t retention_s, queue_max;
  struct shares_settings shares;
  bool allow_unsafe_redis, allow_plaintext, audit;
  int log_format, log_level;
  struct key_pair pair; /* of --key */
};

#define FIELD(name) offsetof(struct broker_settings, name)
#define SHARE(words, member, usual, text)                                                     \
  {                                                                                           \
    .name = words, .type = SETTING_INTEGER, .field = FIELD(shares.member), .standard = usual, \
    .max = KEY_LIMIT_MAX, .help = text                                                        \
  }
static const struct setting table[] = {
    {.name = "listen",
     .type = SETTING_TEXT,
     .field = FIELD(listen),
     .standard = "tcp://127.0.0.1:7700",
     .min = 1,
     .max = ENDPOINTS_BYTES_MAX - 1,
     .help = "endpoints to listen on, up to 16, separated by commas: tcp://HOST:PORT, ipc://PATH"},
    KEY_SETTING(struct broker_settings,
                "file with the broker's key: then every tcp:// endpoint takes only connections of "
                "keys in --keyring; ipc:// stays open to whom the file's permissions let in"),
    {.name = "keyring",
     .type = SETTING_TEXT,
     .field = FIELD(keyring),
     .min = 1,
     .max = KEY_PATH_BYTES_MAX - 1,
     .help = "file with a row for each key that is let in (docs/keys.md); read again when it "
             "changes"},
    {.name = "redis",
     .type = SETTING_TEXT,
     .field = FIELD(redis),
     .standard = "redis://127.0.0.1:6379/0",
     .secret = true,
     .help =
         "the queue: redis://[[user]:password@]host[:port][/db], or unix:///path/to.sock[?db=N], "
         "every part percent-encoded where it must be"},
    {.name = "prefix",
     .type = SETTING_TEXT,
     .field = FIELD(prefix),
     .standard = "dk:",
     .min = 1,
     .max = REDIS_PREFIX_BYTES_MAX,
     .help = "what every key and channel in Redis begins with"},
    HEALTH_SETTING(struct broker_settings, NULL),
    {.name = "retention-s",
     .type = SETTING_INTEGER,
     .field = FIELD(retention_s),
     .standard = "86400",
     .min = 1,
     .max = 31536000,
     .help = "seconds that ended jobs and their ids are kept"},
    {.name = "queue-max",
     .type = SETTING_INTEGER,
     .field = FIELD(queue_max),
     .standard = "1000000",
     .min = 1,
     .max = 100000000,
     .help = "waiting jobs above which submits are refused"},
    SHARE("client-messages", client_messages, "5000",
          "requests a second that a connection with a key may send (its row: messages); 0: any"),
    SHARE("client-kib", client_kib, "16384", "KiB of them a second (its row: kib); 0: any"),
    SHARE("tenant-messages", tenant_messages, "20000",
          "requests a second of all of a tenant's keys together at this broker; 0: any"),
    SHARE("tenant-kib", tenant_kib, "65536", "KiB of them a second; 0: any"),
    {.name = "allow-unsafe-redis",
     .type = SETTING_FLAG,
     .field = FIELD(allow_unsafe_redis),
     .help = "take a Redis that may evict or lose jobs it has accepted"},
    {.name = "allow-plaintext",
     .type = SETTING_FLAG,
     .field = FIELD(allow_plaintext),
     .help = "listen beyond this host without keys: whoever reaches the socket may do everything"},
    {.name = "audit",
     .type = SETTING_FLAG,
     .field = FIELD(audit),
     .help = "hold the queue's indexes against its records, print every mismatch, and leave"},
    LOG_SETTINGS(struct broker_settings),
};

static const struct exit_row exits[] = {
    {EXIT_CODE_OK, "asked to leave by SIGTERM or Ctrl-C; or an audit found nothing"},
    {EXIT_CODE_MISMATCH, "an audit found something; it is on stdout"},
    {EXIT_CODE_USAGE, "a setting is wrong; starting it again will not help"},
    {EXIT_CODE_UNAVAILABLE, "an address to listen on is taken, or Redis is away for an audit"},
    {EXIT_CODE_INTERNAL, "a fault of the program, or memory ran out"},
    {EXIT_CODE_CANNOT_WRITE, "stdout cannot be written"},
    {EXIT_CODE_REFUSED,
     "Redis is refused as it is set up, or too few open files are allowed; starting it again will "
     "not help"},
    {EXIT_CODE_CLOSED_PIPE, "the reader of stdout went away"},
};

static const struct settings_program about = {
    .name = "darkroom-broker",
    .version = DARKROOM_VERSION,
    .summary = "Takes jobs from clients, keeps them in Redis, hands them to workers.",
    .usage = "[settings]",
    .ending = "SIGTERM or Ctrl-C answers what was taken and leaves; SIGHUP is ignored.\n",
    .table = table,
    .count = sizeof table / sizeof table[0],
    .exits = exits,
    .exit_count = sizeof exits / sizeof exits[0],
};

/* What the admin thread may see of the loop. */
static struct readiness {
  pthread_mutex_t lock;
  bool ready;
  char why[HEALTH_REASON_BYTES_MAX];
} readiness = {.lock = PTHREAD_MUTEX_INITIALIZER, .why = "starting"};

/* SIGTERM: the present turn is finished, so everything that was taken is answered; what still waits
 * in the socket is not, and its peers ask the next broker. Nothing has to be handed over. */
static volatile sig_atomic_t leaving;

static void on_signal(int number) {
  (void)number;
  leaving = 1;
}

static bool is_ready(void *context, char *reason, size_t reason_bytes) {
  (void)context;
  pthread_mutex_lock(&readiness.lock);
  bool ready = readiness.ready;
  snprintf(reason, reason_bytes, "%s", readiness.why);
  pthread_mutex_unlock(&readiness.lock);
  return ready;
}

static void note_readiness(const struct redis *redis) {
  pthread_mutex_lock(&readiness.lock);
  readiness.ready = redis_ready(redis, readiness.why, sizeof readiness.why) && !leaving;
  if (leaving || readiness.ready) {
    snprintf(readiness.why, sizeof readiness.why, "%s", leaving ? "leaving" : "");
  }
  pthread_mutex_unlock(&readiness.lock);
}

/* ---- the loop -------------------------------------------------------------------------------- */

/* Redis's callback, which exists before the turn does. */
static struct turn *current_turn;

static void on_event(void *context, const char *text, size_t bytes) {
  (void)context;
  if (current_turn != NULL) {
    turn_event(current_turn, text, bytes);
  }
}

/* Redis may take seconds; peers go on sending, and what they send has its bounds at the door. */
static void while_waiting(void *context) {
  (void)context;
  if (current_turn != NULL) {
    door_gather(current_turn->door);
  }
}

/* Sleeps until a peer, a reply or the clock wants something. */
static void wait_for_work(struct door *door, const struct redis *redis, int64_t wait_ms) {
  struct pollfd items[MONITOR_FD_ITEMS];
  size_t count = redis_poll(redis, items);
  door_wait(door, items, count, wait_ms > WAIT_MS_MAX ? WAIT_MS_MAX : wait_ms);
}

/* Once a second: what a burst has freed goes back to the system, and how many lines of the log were
 * left out is told when the flood is over. */
static void tend(void) {
  static int64_t again_ms;
  if (clock_ms() >= again_ms) {
    again_ms = clock_ms() + TEND_MS;
    log_tend();
    if (mallinfo2().fordblks > FREE_BYTES_KEPT) {
      malloc_trim(0);
    }
  }
}

static enum status serve(struct turn *turn, struct door *door, struct redis *redis) {
  /* A Redis that is refused at the start ends the program, later it only makes us unready. It is up
   * before the events are there, so the two have a start each. */
  bool up = false, tried = false;
  while (!leaving) {
    redis_serve(redis);
    up = up || redis_up(redis);
    tried = tried || redis_tried(redis);
    note_readiness(redis);
    if (redis_refused(redis) && !(redis_up(redis) ? tried : up)) {
      return fail(BAD_INPUT, "%s", redis_why(redis));
    }
    turn_run(turn);
    tend();
    wait_for_work(door, redis, turn_wait_ms(turn));
  }
  note_readiness(redis);
  return OK;
}

/* Without a turn: nothing is swept, so that what is found was there. Waits for Redis, asks for the
 * audit, prints it. *mismatches is how many lines there were. */
static enum status audit(struct redis *redis, size_t *mismatches) {
  int64_t deadline = clock_ms() + 2 * REDIS_WAIT_MS;
  while (!redis_up(redis) && !redis_refused(redis) && clock_ms() < deadline) {
    redis_serve(redis);
    clock_sleep_ms(1);
  }
  if (!redis_up(redis)) {
    return fail(UNAVAILABLE, "%s", redis_why(redis));
  }
  const redisReply *reply = NULL;
  size_t call = queue_audit(redis);
  redis_flush(redis);
  if (!redis_up(redis)) { /* a queue of about 50,000 jobs and more is not walked so fast */
    return fail(
        UNAVAILABLE,
        "the audit did not end within %d s and found nothing out; Redis goes on with it and "
        "answers nobody else meanwhile: do not repeat it while the queue is in use",
        REDIS_WAIT_MS / 1000);
  }
  TRY(queue_audit_reply(redis, call, &reply));
  for (size_t i = 0; i < reply->elements; i++) {
    printf("%s\n", reply_text(reply->element[i]));
  }
  *mismatches = reply->elements;
  return OK;
}

/* Listens before Redis is reached: until then every request is answered UNAVAILABLE, which a peer
 * can tell from a broker that is not there. */
static enum status run_broker(const struct broker_settings *settings, struct redis *redis) {
  struct door *door = NULL;
  struct health *health = NULL;
  /* a large buffer is a mapping of its own and goes back when it is freed; without this the library
   * raises the bound with every one it frees */
  mallopt(M_MMAP_THRESHOLD, MAPPED_BYTES_MIN);
  struct health_options health_options = {settings->admin, DARKROOM_VERSION, is_ready, NULL};
  struct door_options doors = {settings->listen, settings->key != NULL ? &settings->pair : NULL,
                               settings->keyring};
  enum status status = door_open(&doors, &door);
  if (status == OK && settings->admin != NULL) {
    status = health_open(&health_options, &health);
  }
  struct turn_options options = {door, redis, (uint64_t)settings->queue_max,
                                 (uint64_t)settings->retention_s * 1000, settings->shares};
  status = status != OK ? status : turn_open(&options, &current_turn);
  if (status == OK) {
    log_event("broker_ready", log_text("version", DARKROOM_VERSION),
              log_number("admin", health != NULL ? health_port(health) : 0));
    status = serve(current_turn, door, redis);
  }
  turn_close(&current_turn);
  health_close(&health);
  door_close(&door);
  return status;
}

static enum exit_code exit_code(enum status status, const struct redis *redis) {
  static const enum exit_code codes[] = {
      [OK] = EXIT_CODE_OK,
      [BAD_INPUT] = EXIT_CODE_USAGE,
      [UNAVAILABLE] = EXIT_CODE_UNAVAILABLE,
      [EXHAUSTED] = EXIT_CODE_INTERNAL,
      [BROKEN] = EXIT_CODE_INTERNAL,
  };
  if (status == OK) {
    return EXIT_CODE_OK;
  }
  fprintf(stderr, "darkroom-broker: %s\n", fail_reason());
  return redis != NULL && redis_refused(redis) ? EXIT_CODE_REFUSED : codes[status];
}

/* A key without a keyring would let nobody in, a keyring without a key everybody. */
static enum status check_settings(struct broker_settings *settings) {
  bool locked = settings->key != NULL;
  if (locked != (settings->keyring != NULL)) {
    return fail_field(BAD_INPUT, locked ? "keyring" : "key",
                      "--key and --keyring go together: --%s "
                      "is missing",
                      locked ? "keyring" : "key");
  }
  if (locked && settings->allow_plaintext) {
    return fail_field(BAD_INPUT, "allow-plaintext",
                      "--allow-plaintext and --key exclude each other");
  }
  TRY(locked ? keys_read("key", settings->key, true, &settings->pair) : OK);
  return listen_check(settings->listen, locked, settings->allow_plaintext);
}

static enum status read_settings(int argc, char **argv, struct broker_settings *settings,
                                 struct settings_rest *rest) {
  TRY(settings_load(&about, argc, argv, settings, rest));
  if (rest->count > 0) {
    return fail(BAD_INPUT, "unexpected argument: %s", rest->argument[0]);
  }
  return rest->leave ? OK : check_settings(settings);
}

/* SIGHUP: there is nothing to read again, and a lost terminal is no reason to leave. SIGCHLD: as
 * the first process of a container we inherit the orphans; ignored, they leave no zombies. */
static void set_signals(void) {
  struct sigaction action = {.sa_handler = on_signal};
  sigaction(SIGTERM, &action, NULL);
  sigaction(SIGINT, &action, NULL);
  signal(SIGHUP, SIG_IGN);
  signal(SIGCHLD, SIG_IGN);
}

static enum exit_code run(const struct broker_settings *settings) {
  struct redis *redis = NULL;
  size_t mismatches = 0;
  log_open("broker", (enum log_format)settings->log_format, (enum log_level)settings->log_level);
  metrics_open(METRICS_OF_BROKER, DARKROOM_VERSION);
  srandom((unsigned)(time(NULL) ^ getpid()));
  set_signals();
  struct redis_options options = {settings->redis, settings->prefix, settings->allow_unsafe_redis,
                                  on_event,        while_waiting,    NULL};
  enum status status = redis_open(&options, &redis);
  if (status == OK) {
    status = settings->audit ? audit(redis, &mismatches) : run_broker(settings, redis);
  }
  log_event("broker_leaving", log_text("status", status_name(status)));
  enum exit_code code = exit_code(status, redis);
  redis_close(&redis);
  return mismatches > 0 ? EXIT_CODE_MISMATCH : code;
}

int main(int argc, char **argv) {
  static struct broker_settings settings;
  struct settings_rest rest = {0};
  if (process_begin(argv) != OK || process_want_files(DESCRIPTORS_OF_DAEMON_MIN) != OK) {
    fprintf(stderr, "darkroom-broker: %s\n", fail_reason());
    return EXIT_CODE_REFUSED;
  }
  if (read_settings(argc, argv, &settings, &rest) != OK) {
    fprintf(stderr, "darkroom-broker: %s\n", fail_reason());
    return EXIT_CODE_USAGE; /* also when the settings file cannot be read */
  }
  return process_end("darkroom-broker", rest.leave ? EXIT_CODE_OK : run(&settings));
}
