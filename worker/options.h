/* options.h - the worker's settings, from one table, and the lists in them taken apart. */
#ifndef DARKROOM_WORKER_OPTIONS_H
#define DARKROOM_WORKER_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/limits.h"
#include "base/settings.h"
#include "base/status.h"
#include "proto/endpoint.h"
#include "proto/keys.h"

#define OPTIONS_ITEMS_MAX 16
_Static_assert(DEVICES_MAX <= OPTIONS_ITEMS_MAX && ENDPOINTS_MAX <= OPTIONS_ITEMS_MAX,
               "every list of names fits");
#define OPTIONS_LIST_BYTES_MAX ENDPOINTS_BYTES_MAX

/* A comma-separated setting: texts point into memory of its own. */
struct options_list {
  char memory[OPTIONS_LIST_BYTES_MAX];
  const char *item[OPTIONS_ITEMS_MAX];
  size_t count;
};

struct options {
  const char *broker, *key, *models, *device, *store, *admin;
  const char *name, *spool;
  const char *s3_proxy;
  int s3_addressing;
  int64_t slots, batch_rows, threads, max_side, memory_mib;
  bool force_f32;
  int determinism; /* enum determinism */
  const char *cuda_libraries;
  int64_t cordon_deaths;
  int64_t media_threads, fetch_threads, spool_images, spool_mib;
  const char *fetch_hosts, *fetch_places;
  int64_t fetch_seconds, inputs_mib, input_cache_mib;
  int64_t drain_seconds, progress_ms, silence_ms;
  int64_t watchdog_seconds, load_seconds;
  int log_format, log_level;
  const char *print_hashes;
  /* set by the parent for its child, through the environment */
  int64_t engine_child, engine_pulse;
  const char *engine_device, *engine_name, *engine_answers;
  int64_t engine_on_host, engine_on_gpus;
  /* derived */
  struct options_list brokers, devices, hosts, places;
  struct key_pair key_pair; /* of --key */
  char name_made[65];
  char spool_made[1024];
};

extern const struct settings_program options_program;

/* Fills in what was left out (name, spool) and takes the lists apart. BAD_INPUT names the setting.
 */
enum status options_complete(struct options *options);

#endif
