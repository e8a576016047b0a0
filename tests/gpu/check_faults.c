/* check_faults.c - accidents: a process that dies in the middle, memory that runs out, and what
 * NVIDIA's own checker sees. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/process.h"
#include "tests/gpu/check.h"
#include "tests/gpu/child.h"
#include "tests/gpu/studio.h"

/* This program again, as one of its own parts, with its rows in a file of their own. */
static void words_again(const struct gpu_settings *settings, const char *part, char *rows,
                        const char **words) {
  const char *const all[] = {process_path(),
                             "check",
                             "--part",
                             part,
                             "--rows",
                             rows,
                             "--device",
                             settings->device,
                             "--scratch",
                             settings->scratch,
                             "--demo",
                             settings->demo,
                             settings->tiny ? "--tiny" : "--no-tiny",
                             NULL};
  memcpy(words, all, sizeof all);
}

/* ---- a child that is killed, and a fresh one ---- */

/* One picture; what comes of it goes to stdout as a row. */
void check_one_picture(const struct gpu_settings *settings, struct report *report) {
  struct studio studio;
  const char *model = settings->tiny ? "tiny-eps" : "sd15";
  char hash[32];
  studio_open(&studio, settings, &(struct studio_wish){.models = {model}}, report);
  report_text(report, "opened", model);
  const Darkroom__V1__Job job =
      studio_job(model, "one", 5, settings->tiny ? 64 : 512, settings->tiny ? 12 : 40);
  snprintf(hash, sizeof hash, "%016llx", (unsigned long long)studio_do(&studio, &job)->hash[0]);
  report_text(report, "picture", hash);
  studio_close(&studio);
}

/* Whether the file has a row of that name yet; the row goes to text. */
static bool has_row(const char *path, const char *name, char *text, size_t bytes) {
  char line[256] = "", wanted[64];
  bool found = false;
  snprintf(wanted, sizeof wanted, "\"name\":\"%s\"", name);
  FILE *file = fopen(path, "re");
  while (file != NULL && !found && fgets(line, sizeof line, file) != NULL) {
    found = strstr(line, wanted) != NULL;
  }
  if (file != NULL) {
    fclose(file);
  }
  if (found) {
    snprintf(text, bytes, "%s", line);
  }
  return found;
}

/* A picture in a process of its own; the row that names it. */
static bool picture_elsewhere(const struct gpu_settings *settings, struct report *report,
                              const char *which, char *row, size_t bytes) {
  const char *words[16];
  char rows[4096];
  snprintf(rows, sizeof rows, "%s/killed.%s.rows", settings->scratch, which);
  unlink(rows);
  words_again(settings, "one-picture", rows, words);
  bool fine = command_run(report, words) == 0 && has_row(rows, "picture", row, bytes);
  report_holds(report, which, fine, "no picture came of it");
  return fine;
}

/* Begun, and killed when its engine is open and at work. */
static void kill_one(const struct gpu_settings *settings, struct report *report) {
  const char *words[16];
  char rows[4096], row[256];
  int64_t limit_ns = clock_ns() + (int64_t)(report_seconds_left(report) * 1e9);
  snprintf(rows, sizeof rows, "%s/killed.victim.rows", settings->scratch);
  unlink(rows);
  words_again(settings, "one-picture", rows, words);
  pid_t pid = 0;
  report_must(report, "a victim", command_begin(words, &pid));
  while (!has_row(rows, "opened", row, sizeof row) && clock_ns() < limit_ns) {
    clock_sleep_ms(1);
  }
  clock_sleep_ms(settings->tiny ? 2 : 100);
  bool killed = command_kill(pid);
  report_holds(report, "killed at work", killed && !has_row(rows, "picture", row, sizeof row),
               "it had ended by itself");
}

void check_killed(const struct gpu_settings *settings, struct report *report) {
  char before[256] = "", after[256] = "";
  if (!picture_elsewhere(settings, report, "before", before, sizeof before)) {
    return;
  }
  kill_one(settings, report);
  if (picture_elsewhere(settings, report, "afresh", after, sizeof after)) {
    report_holds(report, "the same picture", strcmp(before, after) == 0,
                 "a fresh process makes another picture");
  }
}

/* ---- memory ---- */

/* Takes until there is no more, which is told as such; then the device still works. */
static void exhaust(const struct gpu_settings *settings, struct report *report) {
  struct device *device = NULL;
  struct arena *arena = NULL;
  const struct device_settings small = {.memory_max = (size_t)512 << 20};
  report_must(report, "a small device", device_open(settings->device, &small, &device));
  report_must(report, "its arena", device_arena(device, (size_t)1 << 40, &arena));
  enum status status = OK;
  int taken = 0;
  for (; status == OK && taken < 64; taken++) {
    struct tensor room;
    status = tensor_take(arena, ELEMENT_U8, TENSOR_SHAPE((int64_t)16 << 20), &room);
  }
  report_holds(report, "no memory is EXHAUSTED", status == EXHAUSTED, fail_reason());
  report_holds(report, "most of it was to be had", taken >= 8, "fewer than 128 of 512 MiB");
  report_holds(report, "the device goes on", device_wait(device) == OK, fail_reason());
  arena_close(&arena);
  device_close(&device);
}

/* Eight jobs in an engine with room for few rows: all are done, however few go at a time. */
static void squeeze(const struct gpu_settings *settings, struct report *report,
                    const struct studio_wish *wish, const char *what) {
  struct studio studio;
  const char *model = settings->tiny ? "tiny-eps" : "sd15";
  const int side = settings->tiny ? 64 : 512;
  studio_open(&studio, settings, wish, report);
  static char ids[8][32];
  int waiting = 0, done = 0;
  while (done < 8) {
    while (waiting < 8) {
      snprintf(ids[waiting], sizeof ids[0], "tight-%d", waiting);
      const Darkroom__V1__Job job = studio_job(model, ids[waiting], (uint64_t)waiting, side, 3);
      enum status status = engine_admit(studio.engine, &job, 1, NULL);
      if (status == EXHAUSTED) {
        break;
      }
      report_must(report, "a job", status);
      waiting++;
    }
    report_must(report, "a turn", engine_turn(studio.engine));
    done = studio.book.ended;
  }
  int finished = 0;
  for (int i = 0; i < 8; i++) {
    finished += studio_entry(&studio, ids[i])->finished == 1;
  }
  report_holds(report, what, finished == 8, "not all eight jobs were finished");
  report_value(report, what, studio.book.largest_rows, "rows at once");
  studio_close(&studio);
}

void check_memory(const struct gpu_settings *settings, struct report *report) {
  const char *model = settings->tiny ? "tiny-eps" : "sd15";
  const struct studio_wish all = {.models = {model}};
  const struct studio_wish few = {
      .models = {model}, .memory_max = settings->tiny ? (size_t)4 << 20 : (size_t)1200 << 20};
  exhaust(settings, report);
  squeeze(settings, report, &all, "room for all");
  squeeze(settings, report, &few, "room for few");
}

/* ---- compute-sanitizer ---- */

static void sanitize(const struct gpu_settings *settings, struct report *report, const char *tool) {
  const char *words[24] = {"compute-sanitizer", "--tool", tool, "--error-exitcode", "99"};
  char rows[4096];
  snprintf(rows, sizeof rows, "%s/%s.rows", settings->scratch, tool);
  unlink(rows);
  words_again(settings, "few", rows, words + 5);
  int code = command_run(report, words);
  if (code == 127) {
    report_skip(report, "no compute-sanitizer on this machine");
    return;
  }
  report_holds(report, tool, code == 0,
               code == 99   ? "it found errors, which are said above"
               : code == -1 ? "it did not come to an end in its time"
                            : "it could not look: see above");
}

/* Our own kernels: the libraries' are their makers' concern, and many times slower here. */
void check_memcheck(const struct gpu_settings *settings, struct report *report) {
  sanitize(settings, report, "memcheck");
}
void check_racecheck(const struct gpu_settings *settings, struct report *report) {
  sanitize(settings, report, "racecheck");
}
