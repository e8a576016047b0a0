/* engine_main.h - the engine child: opens a device and its models, then takes orders from its
 * parent over one socket pair.
 *
 * The parent makes a socketpair(AF_UNIX, SOCK_STREAM), forks and executes its own binary with one
 * end inherited; main() there fills these settings and calls engine_main before it opens anything
 * else (no ZeroMQ, no threads). What is said over the pair: pipe.proto, framed by pipe.h. Reasons
 * of a failed start go to the log (stderr), which the child inherits.
 */
#ifndef DARKROOM_WORKER_ENGINE_ENGINE_MAIN_H
#define DARKROOM_WORKER_ENGINE_ENGINE_MAIN_H

#include <stdbool.h>
#include <stddef.h>

#include "base/exit_code.h"
#include "worker/engine/engine.h"

struct engine_main_settings {
  const char *device; /* "ref", "cpu", "cuda:0" */
  int pulse;          /* descriptor of the page to count work in (pulse.h), taken
                                        over; 0: nobody watches */
  int threads;        /* cpu: 0 = all cores this process may use */
  bool force_f32;     /* activations in f32 even where 16 bits are fast */
  enum determinism determinism;
  const struct engine_model *models; /* those pinned to this device, 1..MODELS_MAX; borrowed */
  size_t model_count;
  const struct engine_extra *extras; /* likewise */
  size_t extra_count;
  int slots;         /* samples held at once, 1..SAMPLES_MAX; 0: ENGINE_SLOTS_STANDARD */
  int batch_rows;    /* rows of one U-Net call at most, 2..BATCH_ROWS_MAX; 0:
                        ENGINE_BATCH_ROWS_STANDARD */
  int max_side;      /* pixels, 0: JOB_SIDE_PIXELS_MAX; larger jobs are refused */
  size_t memory_max; /* bytes for samples, conditionings and scratch, beside the weights; 0: what
                        is left of the device's own memory, or of the host's */
  bool own_memory;   /* the device has memory of its own, a GPU's: all of it that is free is ours */
  size_t on_host;    /* engines in the host's memory, which share it evenly, this one among them; 0
                        means 1 */
  size_t on_gpus;    /* engines that need some of it beside their GPU's */
  const char *answers; /* file where the pictures of the self-test are kept; NULL: they are not */
};
#define ENGINE_SLOTS_STANDARD 16
#define ENGINE_BATCH_ROWS_STANDARD 16

/* Whether engines of this program can have such a device: BAD_INPUT for an unknown kind,
 * UNAVAILABLE for one that it was built without. Opens nothing. */
enum status engine_built_for(const char *device);

/* Runs until ordered to finish or the parent is gone. Returns what to exit with, for the parent:
 * EXIT_CODE_OK ordered to finish, or the parent closed its end; EXIT_CODE_REFUSED settings or a
 * model are wrong: a restart will not help; EXIT_CODE_INTERNAL the device or a library is in an
 * unknown state: restart; EXIT_CODE_UNAVAILABLE no device or not enough memory now: restart with
 * backoff. Sends Ready once
 * the models are loaded and each has passed its self-test, and nothing before it.
 * After an Order.finish it works off what it has admitted and leaves. Takes fd over. Ignores
 * SIGPIPE. */
enum exit_code engine_main(int fd, const struct engine_main_settings *settings);

#endif
