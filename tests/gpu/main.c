/* main.c - darkroom-gpu: gpu-check and gpu-bench in one program, whose GPU code is large. */
#include <stdio.h>
#include <string.h>

#include "base/process.h"
#include "base/version.h"
#include "kernels/device.h"
#include "monitoring/log.h"
#include "tests/gpu/part.h"

#define FIELD(name) offsetof(struct gpu_settings, name)
static const struct setting settings_table[] = {
    {"only", SETTING_TEXT, FIELD(only), .help = "run these parts alone: PART[,PART]"},
    {"list", SETTING_FLAG, FIELD(list), "no",
     .help = "show the parts and their times, run nothing"},
    {"budget", SETTING_INTEGER, FIELD(budget), .min = 1, .max = 3600,
     .help = "seconds for all parts together"},
    {"out", SETTING_TEXT, FIELD(out), "gpu-out", .help = "folder for the results"},
    {"scratch", SETTING_TEXT, FIELD(scratch), "/tmp/darkroom-gpu",
     .help = "folder for what need not be kept: models made here"},
    {"device", SETTING_TEXT, FIELD(device), "cuda:0", .help = "the device to look at"},
    {"demo", SETTING_TEXT, FIELD(demo), "models/demo", .help = "folder of the demo model"},
    {"python", SETTING_TEXT, FIELD(python), "python3",
     .help = "interpreter with numpy, PyTorch and diffusers for what is compared"},
    {"tiny", SETTING_FLAG, FIELD(tiny), "no", .help = "everything small: tries the program itself"},
    {"part", SETTING_TEXT, FIELD(part), .help = "inside: the part that this process is"},
    {"rows", SETTING_TEXT, FIELD(rows), .help = "inside: the file of its rows"},
    {"seconds", SETTING_NUMBER, FIELD(seconds), "60", 0, 3600, .help = "inside: its time"},
};

static const struct exit_row exits[] = {
    {EXIT_CODE_OK, "all parts passed"},
    {EXIT_CODE_MISMATCH, "a part did not pass"},
    {EXIT_CODE_USAGE, "wrong words"},
};

static enum exit_code complain(const char *name) {
  fprintf(stderr, "%s: %s\n", name, fail_reason());
  return EXIT_CODE_USAGE;
}

/* A child: one part, here. */
static enum exit_code run_part(const struct table *table, const struct gpu_settings *settings) {
  struct report *report = NULL;
  const struct part *part = parts_find(table, settings->part);
  if (part == NULL || part->run == NULL) {
    fail(BAD_INPUT, "part: no part \"%.40s\" of this program", settings->part);
    return complain(table->name);
  }
  if (settings->rows == NULL || report_open(settings->rows, settings->seconds, &report) != OK) {
    return complain(table->name);
  }
  part->run(settings, report);
  report_close(&report);
  return EXIT_CODE_OK;
}

static enum exit_code run(const struct table *table, int argc, char **argv) {
  const struct settings_program about = {.name = table->name,
                                         .version = DARKROOM_VERSION,
                                         .summary = table->summary,
                                         .usage = "[settings]",
                                         .exits = exits,
                                         .exit_count = sizeof exits / sizeof exits[0],
                                         .table = settings_table,
                                         .count = sizeof settings_table / sizeof settings_table[0]};
  struct gpu_settings settings;
  struct settings_rest rest;
  bool fine = false;
  if (settings_load(&about, argc, argv, &settings, &rest) != OK) {
    return complain(table->name);
  }
  if (rest.leave) {
    return EXIT_CODE_OK;
  }
  if (settings.part != NULL) {
    return run_part(table, &settings);
  }
  if (parts_run(table, &settings, &fine) != OK) {
    return complain(table->name);
  }
  return fine ? EXIT_CODE_OK : EXIT_CODE_MISMATCH;
}

int main(int argc, char **argv) {
  if (process_begin(argv) != OK) {
    return EXIT_CODE_UNAVAILABLE;
  }
  device_calm_threads(argv);
  log_open("gpu", LOG_LOGFMT, LOG_WARNING);
  const struct table *const tables[] = {&gpu_check, &gpu_bench};
  for (int t = 0; argc > 1 && t < 2; t++) {
    if (strcmp(argv[1], strchr(tables[t]->name, '-') + 1) == 0) {
      return (int)process_end(tables[t]->name, run(tables[t], argc, argv));
    }
  }
  fprintf(stderr, "darkroom-gpu check|bench [settings]; --help after one of them\n");
  return EXIT_CODE_USAGE;
}
