/* bench_ops.c - where a step's and a decode's time goes, op by op, each beside its ceiling; and our
 * own kernels that only move bytes, beside a copy.
 *
 * Ops of one shape are timed as the network has them, one after another, each with its own weights
 * and its own place in memory, as one sequence: so neither the host nor a cache that a loop over
 * one buffer would keep warm is in the figures.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "kernels/queue.h"
#include "tests/gpu/bench.h"
#include "tests/gpu/recorder.h"
#include "tests/gpu/studio.h"
#include "tests/gpu/subject.h"
#include "tests/gpu/timing.h"

enum { GROUPS_MAX = 256, GROUP_OPS_MIN = 8, REPEATS = 20 };

/* All calls of one op and shape. */
struct group {
  const struct call *first;
  int count;
  double operations, bytes, ms;
};

struct sheet {
  const struct gpu_settings *settings;
  struct report *report;
  struct device *device;
  const struct recording *recording;
  int groups, group_now;
  struct group group[GROUPS_MAX];
};

static bool alike(const struct call *a, const struct call *b) {
  return a->op == b->op && strcmp(a->shape, b->shape) == 0;
}

static void make_groups(struct sheet *sheet) {
  for (int i = 0; i < sheet->recording->count && i < CALLS_MAX; i++) {
    const struct call *call = &sheet->recording->call[i];
    int g = 0;
    while (g < sheet->groups && !alike(sheet->group[g].first, call)) {
      g++;
    }
    if (g == GROUPS_MAX) {
      continue;
    }
    struct group *group = &sheet->group[g];
    if (g == sheet->groups) {
      *group = (struct group){.first = call};
      sheet->groups++;
    }
    group->count++;
    group->operations += call->operations;
    group->bytes += call->bytes;
  }
}

/* How often a group is repeated within its sequence, so that launching it does not count. */
static int times_of(const struct group *group) {
  return group->count >= GROUP_OPS_MIN ? 1 : GROUP_OPS_MIN / group->count;
}

static enum status queue_group(void *context) {
  struct sheet *sheet = context;
  const struct group *group = &sheet->group[sheet->group_now];
  for (int time = 0; time < times_of(group); time++) {
    for (int i = 0; i < sheet->recording->count && i < CALLS_MAX; i++) {
      if (alike(&sheet->recording->call[i], group->first)) {
        TRY(call_again(sheet->device, &sheet->recording->call[i]));
      }
    }
  }
  return OK;
}

/* Milliseconds of a sequence, run by itself; twice before it counts, so that it is kept. */
static enum status time_sequence(struct device *device, const struct sequence *sequence,
                                 int repeats, double *out) {
  struct series series = {0};
  for (int i = -2; i < repeats; i++) {
    TRY(device_wait(device));
    int64_t begin = clock_ns();
    TRY(device_sequence(device, sequence));
    TRY(device_wait(device));
    if (i >= 0) {
      series_add(&series, milliseconds_since(begin));
    }
  }
  *out = series_at(&series, 0.5);
  return OK;
}

static void time_groups(struct sheet *sheet) {
  for (int g = 0; g < sheet->groups && report_seconds_left(sheet->report) > 0; g++) {
    const struct sequence sequence = {
        .key = {0x0b5, (uint64_t)g}, .queue = queue_group, .context = sheet};
    double ms = 0;
    sheet->group_now = g;
    report_must(sheet->report, sheet->group[g].first->shape,
                time_sequence(sheet->device, &sequence, sheet->settings->tiny ? 1 : REPEATS, &ms));
    sheet->group[g].ms = ms / times_of(&sheet->group[g]);
  }
}

/* The least time that the card's measured ceilings allow, ms; NAN where they were not measured. */
static double floor_ms(const struct sheet *sheet, const struct group *group) {
  double matrix = measured_ceiling(sheet->settings, "matrix.f16"),
         copy = measured_ceiling(sheet->settings, "copy");
  return fmax(group->operations / matrix / 1e9, group->bytes / copy / 1e6);
}

static int slower_first(const void *a, const void *b) {
  double x = ((const struct group *)a)->ms, y = ((const struct group *)b)->ms;
  return (x < y) - (x > y);
}

static void tell_group(struct sheet *sheet, const struct group *group, double sum) {
  char name[128], words[256];
  snprintf(name, sizeof name, "op.%s %s", call_name(group->first), group->first->shape);
  snprintf(words, sizeof words,
           "%d times, %.1f%% of the whole, %.1f TFLOP/s, %.0f GB/s, %.2f of its ceiling",
           group->count, 100 * group->ms / sum, group->operations / group->ms / 1e9,
           group->bytes / group->ms / 1e6, floor_ms(sheet, group) / group->ms);
  report_detail(sheet->report, name, group->ms, words);
}

/* Ops by name, over all shapes. */
static void tell_ops(struct sheet *sheet, double sum) {
  for (int op = 0; op < OPS_COUNT; op++) {
    double ms = 0, least = 0;
    const struct call *call = NULL;
    for (int g = 0; g < sheet->groups; g++) {
      if (sheet->group[g].first->op == op) {
        call = sheet->group[g].first;
        ms += sheet->group[g].ms;
        least += floor_ms(sheet, &sheet->group[g]);
      }
    }
    if (call != NULL) {
      char name[96];
      snprintf(name, sizeof name, "all.%s", call_name(call));
      report_value(sheet->report, name, ms, "ms");
      snprintf(name, sizeof name, "share.%s", call_name(call));
      report_value(sheet->report, name, ms / sum, "of the sum");
      snprintf(name, sizeof name, "ceiling.%s", call_name(call));
      report_value(sheet->report, name, least / ms, "of its ceiling");
    }
  }
}

static void tell_sheet(struct sheet *sheet) {
  double sum = 0, least = 0;
  qsort(sheet->group, (size_t)sheet->groups, sizeof sheet->group[0], slower_first);
  for (int g = 0; g < sheet->groups; g++) {
    sum += sheet->group[g].ms;
    least += floor_ms(sheet, &sheet->group[g]);
  }
  report_value(sheet->report, "sum", sum, "ms");
  report_value(sheet->report, "floor", least, "ms");
  tell_ops(sheet, sum);
  for (int g = 0; g < sheet->groups; g++) {
    tell_group(sheet, &sheet->group[g], sum);
  }
}

/* A step of so many images, or with none a decode of one, written down. */
static void record(struct studio *studio, int images, struct recording *recording) {
  static char ids[STUDIO_IMAGES_MAX][32];
  char what[64];
  for (int i = 0; i < (images == 0 ? 1 : images); i++) {
    const struct gpu_settings *settings = studio->settings;
    snprintf(ids[i], sizeof ids[i], "sheet-%d", i);
    const Darkroom__V1__Job job = settings->tiny
                                      ? studio_job("tiny-eps", ids[i], (uint64_t)i, 64, 1)
                                      : studio_job("sd15", ids[i], (uint64_t)i, 512, 1);
    studio_admit(studio, &job);
  }
  recorder_start(studio->device, recording);
  studio_finish(studio);
  recorder_stop(studio->device);
  snprintf(what, sizeof what, "the ops of a %s", images > 0 ? "step" : "decode");
  bool found = images > 0 ? recording_keep_unet(recording) : recording_keep_decode(recording);
  report_holds(studio->report, what, found && recording->count <= CALLS_MAX,
               "none were seen, or too many");
}

static void bench_sheet(const struct gpu_settings *settings, struct report *report, int images) {
  static struct recording recording;
  static struct sheet sheet;
  struct studio studio;
  struct arena *arena = NULL;
  studio_open(&studio, settings,
              &(struct studio_wish){.models = {settings->tiny ? "tiny-eps" : "sd15"}}, report);
  record(&studio, images, &recording);
  report_must(report, "rows", device_arena(studio.device, 1 << 20, &arena));
  report_must(report, "rows", recording_own_rows(&recording, studio.device, arena));
  sheet = (struct sheet){
      .settings = settings, .report = report, .device = studio.device, .recording = &recording};
  make_groups(&sheet);
  time_groups(&sheet);
  tell_sheet(&sheet);
  arena_close(&arena);
  studio_close(&studio);
}

void bench_step_ops(const struct gpu_settings *settings, struct report *report) {
  bench_sheet(settings, report, 1);
}
void bench_batch_ops(const struct gpu_settings *settings, struct report *report) {
  bench_sheet(settings, report, settings->tiny ? 2 : 8);
}
void bench_decode_ops(const struct gpu_settings *settings, struct report *report) {
  bench_sheet(settings, report, 0);
}

/* ---- kernels that only move bytes, on data that no cache holds ---- */

enum { SETS = 3, BAND_REPEATS = 4 };

static enum status queue_sets(void *context) {
  struct case_run **sets = context;
  for (int i = 0; i < SETS * BAND_REPEATS; i++) {
    TRY(case_execute(sets[i % SETS]));
  }
  return OK;
}

static double band_gbs(const struct gpu_settings *settings, struct device *device,
                       const struct op_case *c, struct report *report) {
  struct case_run *sets[SETS] = {NULL};
  double ms = 0;
  int batch = settings->tiny ? c->batch : 8 * c->batch;
  for (int s = 0; s < SETS; s++) {
    report_must(report, c->name, case_open(device, c, batch, in_order, &sets[s]));
  }
  const struct sequence sequence = {
      .key = {0xba4d5, (uint64_t)(c - op_cases)}, .queue = queue_sets, .context = sets};
  report_must(report, c->name, time_sequence(device, &sequence, settings->tiny ? 1 : REPEATS, &ms));
  double bytes = case_bytes(sets[0]) * SETS * BAND_REPEATS;
  device_forget_sequences(device);
  for (int s = 0; s < SETS; s++) {
    case_close(&sets[s]);
  }
  return bytes / ms / 1e6;
}

static bool moves_bytes(const struct op_case *c) {
  static const char *const ops[] = {"group_norm", "layer_norm", "geglu", "concat", "upsample"};
  for (size_t i = 0; i < sizeof ops / sizeof ops[0]; i++) {
    if (strcmp(c->op, ops[i]) == 0) {
      return true;
    }
  }
  return false;
}

void bench_bands(const struct gpu_settings *settings, struct report *report) {
  struct device *device = subject_open(settings, settings->device, false, report);
  double least = INFINITY, copy = measured_ceiling(settings, "copy");
  for (int i = 0; i < op_case_count && report_seconds_left(report) > 0; i++) {
    const struct op_case *c = &op_cases[i];
    char name[96];
    if (c->place != (settings->tiny ? CASE_TEST : CASE_BENCH) || !moves_bytes(c)) {
      continue;
    }
    double gbs = band_gbs(settings, device, c, report);
    snprintf(name, sizeof name, "%s.%s", c->op, c->name);
    report_value(report, name, gbs, "GB/s");
    snprintf(name, sizeof name, "share.%s.%s", c->op, c->name);
    report_value(report, name, gbs / copy, "of copy");
    least = fmin(least, gbs / copy);
  }
  report_value(report, "least", least, "of copy");
  device_close(&device);
}
