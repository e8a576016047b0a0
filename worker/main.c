/* main.c - darkroom-worker: the parent with its loop, media threads and admin port; or, as its
 * child, an engine. */
#include <curl/curl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/limits.h"
#include "base/process.h"
#include "base/version.h"
#include "monitoring/health.h"
#include "monitoring/log.h"
#include "monitoring/metrics.h"
#include "worker/engine/engine_main.h"
#include "worker/identity.h"
#include "worker/leftovers.h"
#include "worker/media/media.h"
#include "worker/media/spool.h"
#include "worker/turn.h"

static enum exit_code complain(enum exit_code code) {
  fprintf(stderr, "darkroom-worker: %s\n", fail_reason());
  return code;
}

/* the child ------------------------------------------------------------------------------------ */

/* What of the table is for this engine: models that it loads, and what jobs may name beside. */
struct engine_rows {
  struct engine_model model[MODELS_MAX];
  size_t models;
  struct engine_extra extra[MODELS_ROWS_MAX];
  size_t extras;
};

static void find_rows(const struct options *options, const struct models_table *table,
                      struct engine_rows *out) {
  static const enum extra_kind kinds[] = {[MODELS_CONTROL] = EXTRA_CONTROL,
                                          [MODELS_LORA] = EXTRA_LORA,
                                          [MODELS_EMBEDDING] = EXTRA_EMBEDDING,
                                          [MODELS_TINY] = EXTRA_TINY};
  for (size_t i = 0; i < table->count; i++) {
    const struct models_row *row = &table->row[i];
    if (!models_row_on(row, options->engine_name, options->engine_device)) {
      continue;
    }
    if (row->kind == MODELS_MODEL) {
      out->model[out->models++] = (struct engine_model){
          .id = row->id, .sha256 = row->sha256, .source = row->source, .on_demand = row->on_demand};
    } else {
      out->extra[out->extras++] =
          (struct engine_extra){.kind = kinds[row->kind], .id = row->id, .source = row->source};
    }
  }
}

static int run_engine(const struct options *options, const struct models_table *table) {
  static struct engine_rows rows;
  find_rows(options, table, &rows);
  struct engine_main_settings settings = {
      .device = options->engine_device,
      .pulse = (int)options->engine_pulse,
      .threads = (int)options->threads,
      .force_f32 = options->force_f32,
      .determinism = (enum determinism)options->determinism,
      .models = rows.model,
      .model_count = rows.models,
      .extras = rows.extra,
      .extra_count = rows.extras,
      .slots = (int)options->slots,
      .batch_rows = (int)options->batch_rows,
      .max_side = (int)options->max_side,
      .memory_max = (size_t)options->memory_mib * 1024 * 1024,
      .own_memory = devices_own_memory(options->engine_device),
      .on_host = (size_t)options->engine_on_host,
      .on_gpus = (size_t)options->engine_on_gpus,
      .answers = options->engine_answers,
  };
  if (options->cuda_libraries != NULL && options->cuda_libraries[0] != '\0') {
    /* who loads them reads it there, wherever it was set */
    (void)setenv("DARKROOM_CUDA_LIBRARIES", options->cuda_libraries, 1);
  }
  return engine_main((int)options->engine_child, &settings);
}

/* the parent ----------------------------------------------------------------------------------- */

static enum status every_device_has_a_model(const struct worker *worker) {
  const struct worker_devices *devices = &worker->hardware.devices;
  for (size_t d = 0; d < devices->count; d++) {
    const struct worker_device *device = &devices->row[d];
    bool any = false;
    for (size_t i = 0; i < worker->table->count; i++) {
      const struct models_row *row = &worker->table->row[i];
      any = any || (row->kind == MODELS_MODEL && models_row_on(row, device->name, device->open));
    }
    if (!any) {
      return fail(BAD_INPUT, "%s: no model is pinned to %s", worker->options->models, device->name);
    }
  }
  return OK;
}

/* Whether the store takes a picture is known before the first job. Its state is kept, with its
 * words: one that is away, or says no today, is asked again. */
static enum status check_store(const struct store_settings *settings, const char *name,
                               struct store_watch *watch) {
  enum { CHECK_MS = 5000 }; /* jobs of an earlier life may be waiting, and their leases are short */
  struct store_settings quick = *settings;
  quick.s3.transfer_ms = CHECK_MS;
  struct store *store = NULL;
  TRY(store_open(&quick, &store));
  enum status status = store_check(store, name);
  store_close(&store);
  if (status == OK) {
    store_answered(watch);
  } else {
    store_failed(watch, status, fail_reason(), 0, clock_ms());
  }
  return status;
}

static int block_signals(void) {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGTERM);
  sigaddset(&set, SIGINT);
  sigaddset(&set, SIGCHLD);
  sigaddset(&set, SIGUSR1);
  pthread_sigmask(SIG_BLOCK, &set, NULL);
  signal(SIGHUP, SIG_IGN); /* nothing to read again; a lost terminal is no reason to leave */
  return signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
}

/* What lives as long as the parent; closed in the reverse order. */
struct parent {
  struct worker worker;
  struct readiness ready;
  struct health *health;
  int spool_lock;
  int signals;
};

static void open_children(struct worker *worker) {
  enum { WATCH_MS = 1000 };
  children_open(&worker->children, &worker->hardware.devices);
  worker->children.load_ms = worker->options->load_seconds * WATCH_MS;
  worker->children.watchdog_ms = worker->options->watchdog_seconds * WATCH_MS;
}

static struct places places_of(const struct options *options) {
  struct places places = {.store = options->store,
                          .below_count = options->places.count,
                          .host_count = options->hosts.count};
  memcpy(places.below, options->places.item, options->places.count * sizeof places.below[0]);
  memcpy(places.host, options->hosts.item, options->hosts.count * sizeof places.host[0]);
  return places;
}

static enum exit_code open_parent(struct parent *parent, struct options *options) {
  struct worker *worker = &parent->worker;
  struct store_settings store = {
      .url = options->store,
      .s3 = {.addressing = (enum s3_addressing)options->s3_addressing, .proxy = options->s3_proxy},
  };
  if (hardware_open(&worker->hardware, options) != OK || every_device_has_a_model(worker) != OK ||
      models_table_check(worker->table) != OK) {
    return complain(EXIT_CODE_REFUSED);
  }
  open_children(worker);
  if (identity_take(options, &parent->spool_lock, &worker->identity) != OK) {
    return complain(EXIT_CODE_UNAVAILABLE);
  }
  worker->children.spool = options->spool;
  if (leftovers_read(worker) != OK) {
    return complain(EXIT_CODE_UNAVAILABLE);
  }
  /* settings that the store does not know are a person's to mend first, unless pictures wait */
  if (check_store(&store, options->name, &worker->store) == BAD_INPUT &&
      held_count(&worker->held) == 0) {
    return complain(EXIT_CODE_REFUSED);
  }
  struct health_options admin = {options->admin, DARKROOM_VERSION, readiness_get, &parent->ready};
  if (health_open(&admin, &parent->health) != OK) {
    return complain(EXIT_CODE_UNAVAILABLE);
  }
  struct media_settings media = {
      .threads = (int)options->media_threads,
      .fetch_threads = (int)options->fetch_threads,
      .store = store,
      .places = places_of(options),
      .cache_bytes = (size_t)options->input_cache_mib << 20,
      .spool = options->spool,
      .worker = options->name,
      .version = DARKROOM_VERSION,
  };
  enum status opened = media_open(&media, &worker->media);
  if (opened != OK) {
    return complain(opened == BAD_INPUT ? EXIT_CODE_REFUSED : EXIT_CODE_INTERNAL);
  }
  if (arena_open(NULL, 2 * PIPE_UNPACK_BYTES_MAX, &worker->scratch) != OK) {
    return complain(EXIT_CODE_INTERNAL);
  }
  struct dealer_options brokers = {options->brokers.item, options->brokers.count,
                                   options->key != NULL ? &options->key_pair : NULL, false};
  if (link_open(&worker->link, &brokers, options->silence_ms) != OK) {
    return complain(EXIT_CODE_USAGE);
  }
  return EXIT_CODE_OK;
}

static void close_parent(struct parent *parent) {
  enum { ENGINE_GRACE_MS = 2000 };
  children_close(&parent->worker.children, ENGINE_GRACE_MS);
  hardware_close(&parent->worker.hardware);
  link_close(&parent->worker.link);
  media_close(&parent->worker.media);
  health_close(&parent->health);
  for (size_t i = 0; i < HELD_MAX; i++) {
    if (parent->worker.held.row[i].state != HELD_FREE) {
      held_drop(&parent->worker.held.row[i]);
    }
  }
  arena_close(&parent->worker.scratch);
  readiness_close(&parent->ready);
  if (parent->spool_lock >= 0) {
    close(parent->spool_lock);
  }
  close(parent->signals);
}

static enum exit_code run_parent(struct options *options, const struct models_table *table) {
  enum { BEAT_MS = 5000 };
  static struct parent parent; /* large, and zero at birth */
  parent.spool_lock = -1;
  parent.signals = block_signals();
  struct worker *worker = &parent.worker;
  worker->options = options;
  worker->table = table;
  worker->ready = &parent.ready;
  worker->beat_ms = BEAT_MS;
  readiness_open(&parent.ready);
  enum exit_code code = open_parent(&parent, options);
  if (code == EXIT_CODE_OK) {
    log_event("worker_started", log_text("name", options->name), log_text("store", options->store),
              log_text("spool", options->spool),
              log_number("admin_port", health_port(parent.health)), log_number("pid", getpid()));
    code = worker_run(worker, parent.signals);
  }
  close_parent(&parent);
  return code;
}

static int run(struct options *options) {
  if (options->print_hashes != NULL) {
    return models_print_row(options->print_hashes, stdout) == OK ? 0 : complain(EXIT_CODE_REFUSED);
  }
  bool child = options->engine_child >= 0;
  log_open(child ? "engine" : "worker", (enum log_format)options->log_format,
           (enum log_level)options->log_level);
  static struct models_table table;
  if (models_table_read(options->models, &table) != OK) {
    models_table_close(&table);
    return complain(EXIT_CODE_REFUSED);
  }
  int code = child ? run_engine(options, &table) : (int)run_parent(options, &table);
  models_table_close(&table);
  return code;
}

static int start(int argc, char **argv) {
  static struct options options;
  struct settings_rest rest = {0};
  /* prompts and keys must not end up in a core file */
  setrlimit(RLIMIT_CORE, &(struct rlimit){0, 0});
  if (process_begin(argv) != OK || process_want_files(DESCRIPTORS_OF_DAEMON_MIN) != OK) {
    return complain(EXIT_CODE_REFUSED);
  }
  if (settings_load(&options_program, argc, argv, &options, &rest) != OK) {
    return complain(EXIT_CODE_USAGE);
  }
  if (rest.leave) {
    return 0;
  }
  if (rest.count > 0) {
    fprintf(stderr, "darkroom-worker: unexpected argument %s\n", rest.argument[0]);
    return EXIT_CODE_USAGE;
  }
  if (options_complete(&options) != OK) {
    return complain(EXIT_CODE_USAGE);
  }
  if (options.engine_child < 0) {
    metrics_open(METRICS_OF_WORKER, DARKROOM_VERSION);
    curl_global_init(CURL_GLOBAL_DEFAULT);
  }
  int code = run(&options);
  if (options.engine_child < 0) {
    curl_global_cleanup();
  }
  return code;
}

int main(int argc, char **argv) { return process_end("darkroom-worker", start(argc, argv)); }
