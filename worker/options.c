/* options.c - one row per setting. */
#include "worker/options.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/text.h"
#include "base/version.h"
#include "monitoring/health.h"
#include "monitoring/log.h"
#include "proto/job.h"
#include "s3/place.h"
#include "store/places.h"
#include "worker/cordon.h"
#include "worker/devices.h"
#include "worker/media/media.h"

#define FIELD(name) offsetof(struct options, name)

static const struct setting table[] = {
    ENDPOINTS_SETTING(struct options),
    KEY_SETTING(struct options,
                "file with the worker's key (darkroom keys generate), for brokers at tcp://; left "
                "out: the brokers ask for none"),
    {.name = "models",
     .type = SETTING_TEXT,
     .field = FIELD(models),
     .standard = "/etc/darkroom/models.conf",
     .help = "the model table: ids, folders, devices, sha256 of each weight file"},
    {.name = "device",
     .type = SETTING_TEXT,
     .field = FIELD(device),
     .standard = "cpu",
     .min = 1,
     .max = OPTIONS_LIST_BYTES_MAX - 1,
     .help = "cpu, ref, cuda:N (in the order of the PCI bus), cuda:all, cuda:GPU-UUID or "
             "cuda:MIG-UUID, beginnings of UUIDs too [,...]: one engine process each"},
    {.name = "store",
     .type = SETTING_TEXT,
     .field = FIELD(store),
     .standard = "file:///var/lib/darkroom/pictures",
     .min = 1,
     .max = 2048,
     .help = "where pictures go: file:///FOLDER or s3://BUCKET/PREFIX (keys: AWS_...)"},
    HEALTH_SETTING(struct options, "127.0.0.1:7702"),
    {.name = "name",
     .type = SETTING_TEXT,
     .field = FIELD(name),
     .min = 1,
     .max = 64,
     .help = "stable name of this worker, 1-64 of [A-Za-z0-9._-] (the host's name and the "
             "beginning of what only its spool knows)"},
    {.name = "spool",
     .type = SETTING_TEXT,
     .field = FIELD(spool),
     .min = 1,
     .max = 1000,
     .help = "folder for finished pictures until they are stored (/var/tmp/darkroom-NAME; without "
             "--name /var/tmp/darkroom-HOST, .2 for a second worker, ...)"},
    {.name = "spool-images",
     .type = SETTING_INTEGER,
     .field = FIELD(spool_images),
     .standard = "256",
     .min = 1,
     .max = 100000,
     .help = "pictures that may wait for the store before no more work is taken"},
    {.name = "spool-mib",
     .type = SETTING_INTEGER,
     .field = FIELD(spool_mib),
     .standard = "4096",
     .min = 1,
     .max = 1 << 24,
     .help = "the same, in MiB: whichever is reached first"},
    S3_SETTINGS(struct options, 0),
    {.name = "slots",
     .type = SETTING_INTEGER,
     .field = FIELD(slots),
     .standard = "0",
     .max = SAMPLES_MAX,
     .help = "images in the making per device (0: the engine's own number)"},
    {.name = "batch-rows",
     .type = SETTING_INTEGER,
     .field = FIELD(batch_rows),
     .standard = "0",
     .max = BATCH_ROWS_MAX,
     .help = "rows of one U-Net call at most (0: the engine's own number)"},
    {.name = "threads",
     .type = SETTING_INTEGER,
     .field = FIELD(threads),
     .standard = "0",
     .max = 1024,
     .help = "cpu threads of an engine (0: all cores)"},
    {.name = "max-side",
     .type = SETTING_INTEGER,
     .field = FIELD(max_side),
     .standard = "0",
     .max = JOB_SIDE_PIXELS_MAX,
     .help = "largest width or height taken, pixels (0: the limit of jobs); memory may allow less"},
    {.name = "memory",
     .type = SETTING_INTEGER,
     .field = FIELD(memory_mib),
     .standard = "0",
     .max = 1 << 20,
     .help = "MiB per engine beside the weights of pinned models (0: what the GPU has free; of the "
             "host what control "
             "group and machine leave)"},
    {.name = "force-f32",
     .type = SETTING_FLAG,
     .field = FIELD(force_f32),
     .standard = "false",
     .help = "compute in f32 even where 16 bits are fast"},
    {.name = "determinism",
     .type = SETTING_CHOICE,
     .field = FIELD(determinism),
     .standard = "strict",
     .choices = "strict|fast",
     .help =
         "strict: a picture never depends on what is computed beside it; fast: on GPUs its last "
         "bits may, and it says so in its parameters"},
    {.name = "cuda-libraries",
     .type = SETTING_TEXT,
     .field = FIELD(cuda_libraries),
     .help =
         "folders (a:b) in which cuBLASLt and cuDNN are looked for first, or a folder of Python "
         "packages that brought them"},
    {.name = "cordon-deaths",
     .type = SETTING_INTEGER,
     .field = FIELD(cordon_deaths),
     .standard = "3",
     .max = CORDON_DEATHS_MAX,
     .help = "a device whose engine dies this often in ten minutes, and no one job explains it, "
             "gets no more jobs until SIGUSR1 or a restart (0: however often)"},
    {.name = "media-threads",
     .type = SETTING_INTEGER,
     .field = FIELD(media_threads),
     .standard = "2",
     .min = 1,
     .max = MEDIA_THREADS_MAX,
     .help = "threads that encode and spool pictures, and as many again that store them"},
    {.name = "fetch-threads",
     .type = SETTING_INTEGER,
     .field = FIELD(fetch_threads),
     .standard = "16",
     .min = 1,
     .max = MEDIA_FETCH_THREADS_MAX,
     .help = "files of jobs that are fetched at once, each in memory until it is whole (pictures "
             "64 MiB at most); slow ones give way to those that were not tried yet"},
    {.name = "fetch-hosts",
     .type = SETTING_TEXT,
     .field = FIELD(fetch_hosts),
     .max = OPTIONS_LIST_BYTES_MAX - 1,
     .help = "hosts (a.example,b.example:8443) from which files that jobs name are fetched over "
             "https:; left out: none"},
    {.name = "fetch-places",
     .type = SETTING_TEXT,
     .field = FIELD(fetch_places),
     .max = OPTIONS_LIST_BYTES_MAX - 1,
     .help = "what jobs may name beside inputs and their tenant's results in the store: "
             "s3://BUCKET/PREFIX or file:///FOLDER [,...]"},
    {.name = "fetch-seconds",
     .type = SETTING_INTEGER,
     .field = FIELD(fetch_seconds),
     .standard = "120",
     .min = 1,
     .max = 86400,
     .help =
         "a job whose files are not here for this long, or come that slowly, goes back to be tried "
         "elsewhere"},
    {.name = "inputs-mib",
     .type = SETTING_INTEGER,
     .field = FIELD(inputs_mib),
     .standard = "2048",
     .min = 1,
     .max = 1 << 20,
     .help = "memory for files of jobs that no engine has yet; beyond it no more are fetched"},
    {.name = "input-cache-mib",
     .type = SETTING_INTEGER,
     .field = FIELD(input_cache_mib),
     .standard = "256",
     .max = 1 << 20,
     .help = "memory for files of jobs that further jobs may name (0: none is kept)"},
    {.name = "drain-seconds",
     .type = SETTING_INTEGER,
     .field = FIELD(drain_seconds),
     .standard = "12",
     .max = 86400,
     .help = "after SIGTERM: finish what ends in this time, then hand the rest back"},
    {.name = "progress-ms",
     .type = SETTING_INTEGER,
     .field = FIELD(progress_ms),
     .standard = "250",
     .min = 10,
     .max = 5000,
     .help = "report news to the broker at most this often, milliseconds"},
    {.name = "silence-ms",
     .type = SETTING_INTEGER,
     .field = FIELD(silence_ms),
     .standard = "5000",
     .min = 100,
     .max = 60000,
     .help = "a broker that does not answer for this long is left, milliseconds"},
    {.name = "watchdog-seconds",
     .type = SETTING_INTEGER,
     .field = FIELD(watchdog_seconds),
     .standard = "30",
     .min = 1,
     .max = 86400,
     .help =
         "an engine without progress for this long, beside what its turn should take, is killed"},
    {.name = "load-seconds",
     .type = SETTING_INTEGER,
     .field = FIELD(load_seconds),
     .standard = "120",
     .min = 1,
     .max = 86400,
     .help = "an engine that loads its models without progress for this long is killed"},
    LOG_SETTINGS(struct options),
    {.name = "print-hashes",
     .type = SETTING_TEXT,
     .field = FIELD(print_hashes),
     .help = "print the row of models.conf for this folder or .safetensors file, and leave"},
    {.name = "engine-child",
     .type = SETTING_INTEGER,
     .field = FIELD(engine_child),
     .standard = "-1",
     .min = -1,
     .max = 1 << 20,
     .help = "set by the worker for its engine processes"},
    {.name = "engine-pulse",
     .type = SETTING_INTEGER,
     .field = FIELD(engine_pulse),
     .standard = "0",
     .max = 1 << 20,
     .help = "set by the worker for its engine processes"},
    {.name = "engine-device",
     .type = SETTING_TEXT,
     .field = FIELD(engine_device),
     .help = "set by the worker for its engine processes"},
    {.name = "engine-name",
     .type = SETTING_TEXT,
     .field = FIELD(engine_name),
     .help = "set by the worker for its engine processes"},
    {.name = "engine-answers",
     .type = SETTING_TEXT,
     .field = FIELD(engine_answers),
     .help = "set by the worker for its engine processes"},
    {.name = "engine-on-host",
     .type = SETTING_INTEGER,
     .field = FIELD(engine_on_host),
     .standard = "1",
     .max = DEVICES_MAX,
     .help = "set by the worker for its engine processes"},
    {.name = "engine-on-gpus",
     .type = SETTING_INTEGER,
     .field = FIELD(engine_on_gpus),
     .standard = "0",
     .max = DEVICES_MAX,
     .help = "set by the worker for its engine processes"},
};

static const struct exit_row exits[] = {
    {EXIT_CODE_OK, "drained after SIGTERM or Ctrl-C, or a question like --help was answered"},
    {EXIT_CODE_USAGE, "a setting is wrong; starting it again will not help"},
    {EXIT_CODE_UNAVAILABLE, "the admin address or the spool folder is not to be had now"},
    {EXIT_CODE_INTERNAL, "a fault of the program, or memory ran out"},
    {EXIT_CODE_CANNOT_WRITE, "stdout cannot be written"},
    {EXIT_CODE_REFUSED,
     "the model table, a model, the store or this machine is refused; starting it again will not "
     "help"},
    {EXIT_CODE_CLOSED_PIPE, "the reader of stdout went away"},
};

const struct settings_program options_program = {
    .name = "darkroom-worker",
    .version = DARKROOM_VERSION,
    .summary = "makes the pictures: takes jobs from a broker, one engine process per device",
    .usage = "[settings]",
    .ending =
        "SIGTERM or Ctrl-C drains, a second one hands back at once; SIGUSR1 lets cordoned devices "
        "in "
        "again; SIGHUP is ignored.\n\n"
        "Example: darkroom-worker --models models.conf --device cpu --store "
        "file:///tmp/images\n",
    .table = table,
    .count = sizeof table / sizeof table[0],
    .exits = exits,
    .exit_count = sizeof exits / sizeof exits[0],
};

static enum status split(const char *name, const char *text, size_t max, struct options_list *out) {
  snprintf(out->memory, sizeof out->memory, "%s", text);
  return text_split(name, out->memory, max, out->item, &out->count);
}

static enum status check_devices(const struct options_list *devices) {
  for (size_t i = 0; i < devices->count; i++) {
    TRY(devices_check(devices->item[i]));
    for (size_t k = i + 1; k < devices->count; k++) {
      if (strcmp(devices->item[i], devices->item[k]) == 0) {
        return fail_field(BAD_INPUT, "device", "--device: %s is named twice", devices->item[i]);
      }
    }
  }
  return OK;
}

static enum status split_if_given(const char *name, const char *text, struct options_list *out) {
  return text != NULL && text[0] != '\0' ? split(name, text, PLACES_MAX, out) : OK;
}

static enum status check_places(const struct options_list *places) {
  for (size_t i = 0; i < places->count; i++) {
    const char *place = places->item[i];
    if (strncmp(place, "s3://", 5) != 0 && strncmp(place, "file:///", 8) != 0) {
      return fail_field(BAD_INPUT, "fetch-places",
                        "--fetch-places: %.64s is neither s3://BUCKET/PREFIX nor file:///FOLDER",
                        place);
    }
  }
  return OK;
}

enum status options_complete(struct options *options) {
  TRY(split("broker", options->broker, ENDPOINTS_MAX, &options->brokers));
  TRY(split("device", options->device, DEVICES_MAX, &options->devices));
  TRY(check_devices(&options->devices));
  TRY(split_if_given("fetch-hosts", options->fetch_hosts, &options->hosts));
  TRY(split_if_given("fetch-places", options->fetch_places, &options->places));
  TRY(check_places(&options->places));
  TRY(options->key != NULL ? keys_read("key", options->key, true, &options->key_pair) : OK);
  if (options->name != NULL && !job_id_valid(options->name)) {
    return fail_field(BAD_INPUT, "name",
                      "--name %s: 1-64 of [A-Za-z0-9._-], a letter or digit first", options->name);
  }
  if (options->batch_rows == 1) {
    return fail_field(BAD_INPUT, "batch-rows", "--batch-rows 1: a guided image needs two rows");
  }
  return OK;
}
