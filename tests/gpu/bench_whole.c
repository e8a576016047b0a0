/* bench_whole.c - the engine at work on images that began together: a step, twenty of them, a
 * decode; from graphs or without, strict or fast. */
#include <math.h>
#include <string.h>

#include "base/clock.h"
#include "tests/gpu/bench.h"
#include "tests/gpu/recorder.h"
#include "tests/gpu/studio.h"
#include "tests/gpu/timing.h"

enum { IMAGES_MAX = STUDIO_IMAGES_MAX };

/* A model and the size that it is measured at. */
struct subject {
  const char *model;
  int side, steps, images_max;
};

static struct subject subject_of(const struct gpu_settings *settings, const char *model) {
  if (settings->tiny) {
    return (struct subject){"tiny-eps", 64, 4, 2};
  }
  return strcmp(model, "demo") == 0 ? (struct subject){"demo", 128, 20, IMAGES_MAX}
                                    : (struct subject){"sd15", 512, 20, IMAGES_MAX};
}

/* What one round of images took. */
struct round {
  double denoise_ms, decode_ms; /* of the slowest */
  double wall_ms;               /* from the first job to the last picture */
  double processor_ms;          /* of this process meanwhile */
  int turns;
};

static struct round run_round(struct studio *studio, const struct subject *subject, int images) {
  static char ids[IMAGES_MAX][32];
  struct round round = {.processor_ms = -processor_ms()};
  book_close(&studio->book); /* what it knows of earlier rounds */
  int64_t begin = clock_ns();
  for (int i = 0; i < images; i++) {
    snprintf(ids[i], sizeof ids[i], "image-%d", i);
    const Darkroom__V1__Job job = studio_job(subject->model, ids[i], 100 + (uint64_t)i,
                                             subject->side, (uint32_t)subject->steps);
    studio_admit(studio, &job);
  }
  studio_finish(studio);
  round.wall_ms = milliseconds_since(begin);
  round.processor_ms += processor_ms();
  round.turns = studio->book.turns;
  for (int i = 0; i < images; i++) {
    const struct entry *entry = studio_entry(studio, ids[i]);
    if (entry->finished != 1) {
      report_holds(studio->report, ids[i], false, "it was not finished");
    }
    round.denoise_ms = fmax(round.denoise_ms, (double)entry->denoise_us / 1000);
    round.decode_ms = fmax(round.decode_ms, (double)entry->decode_us / 1000);
  }
  return round;
}

/* Rounds until a second and a half has gone, three at least, after two that warm up: algorithms are
 * chosen in the first, graphs captured in the second. */
struct rounds {
  struct series denoise, decode, wall, processor;
};

static void run_rounds(struct studio *studio, const struct subject *subject, int images,
                       struct rounds *out) {
  memset(out, 0, sizeof *out);
  const bool tiny = subject->images_max < IMAGES_MAX;
  for (int i = 0; i < (tiny ? 1 : 2); i++) {
    run_round(studio, subject, images);
  }
  int64_t begin = clock_ns();
  while (out->wall.count < (tiny ? 1 : 3) ||
         (!tiny && milliseconds_since(begin) < 1500 && out->wall.count < 30)) {
    const struct round round = run_round(studio, subject, images);
    series_add(&out->denoise, round.denoise_ms);
    series_add(&out->decode, round.decode_ms);
    series_add(&out->wall, round.wall_ms);
    series_add(&out->processor, round.processor_ms / round.turns);
  }
}

static void tell(struct report *report, const char *what, int images, double value,
                 const char *unit) {
  char name[64];
  snprintf(name, sizeof name, "%s.b%d", what, images);
  report_value(report, name, value, unit);
}

/* Multiplications and additions of a U-Net call for one image, from the ops that it queues. */
static double count_operations(struct studio *studio, const struct subject *subject) {
  static struct recording recording;
  recorder_start(studio->device, &recording);
  run_round(studio, subject, 1);
  recorder_stop(studio->device);
  return recording_keep_unet(&recording) ? recording_operations(&recording) : NAN;
}

static void tell_rounds(struct report *report, const struct subject *subject, int images,
                        struct rounds *rounds, double operations) {
  double denoise = series_at(&rounds->denoise, 0.5);
  tell(report, "whole", images, denoise, "ms");
  tell(report, "step", images, denoise / subject->steps, "ms");
  tell(report, "rate", images, operations * images * subject->steps / denoise / 1e9, "TFLOP/s");
  tell(report, "pictures", images, 1000 * images / series_at(&rounds->wall, 0.5), "1/s");
  tell(report, "host", images, series_at(&rounds->processor, 0.5), "ms a turn");
}

static void measure(const struct gpu_settings *settings, struct report *report, const char *model) {
  const struct subject subject = subject_of(settings, model);
  struct studio studio;
  struct rounds rounds;
  studio_open(&studio, settings, &(struct studio_wish){.models = {subject.model}}, report);
  double operations = count_operations(&studio, &subject);
  report_value(report, "operations", operations / 1e9, "GFLOP a step of one image");
  for (int images = 1; images <= subject.images_max && report_seconds_left(report) > 3;
       images *= 2) {
    run_rounds(&studio, &subject, images, &rounds);
    tell_rounds(report, &subject, images, &rounds, operations);
  }
  report_value(report, "memory", (double)device_memory_peak(studio.device) / 1048576, "MiB");
  studio_close(&studio);
}

/* Without graphs where the part's environment says so. */
void bench_whole(const struct gpu_settings *settings, struct report *report) {
  measure(settings, report, "sd15");
}
void bench_demo(const struct gpu_settings *settings, struct report *report) {
  measure(settings, report, "demo");
}

void bench_decode(const struct gpu_settings *settings, struct report *report) {
  const struct subject subject = subject_of(settings, "sd15");
  struct studio studio;
  struct rounds rounds;
  studio_open(&studio, settings, &(struct studio_wish){.models = {subject.model}}, report);
  const struct subject short_work = {subject.model, subject.side, 1, subject.images_max};
  run_rounds(&studio, &short_work, 1, &rounds);
  report_value(report, "decode", series_at(&rounds.decode, 0.5), "ms");
  studio_close(&studio);
}

static double step_ms(const struct gpu_settings *settings, struct report *report,
                      enum determinism determinism, int images) {
  const struct subject subject = subject_of(settings, "sd15");
  struct studio studio;
  struct rounds rounds;
  studio_open(&studio, settings,
              &(struct studio_wish){.models = {subject.model}, .device.determinism = determinism},
              report);
  run_rounds(&studio, &subject, images, &rounds);
  studio_close(&studio);
  return series_at(&rounds.denoise, 0.5) / subject.steps;
}

/* Both in one process and taking turns, so that both meet the same card. */
void bench_strict(const struct gpu_settings *settings, struct report *report) {
  for (int images = 1; images <= (settings->tiny ? 1 : 8); images *= 8) {
    tell(report, "step.strict", images, step_ms(settings, report, DETERMINISM_STRICT, images),
         "ms");
    tell(report, "step.fast", images, step_ms(settings, report, DETERMINISM_FAST, images), "ms");
  }
}
