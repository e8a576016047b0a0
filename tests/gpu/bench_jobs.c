/* bench_jobs.c - jobs of many people: together and one after another; coming when they please, each
 * taken at the next step or only when the batch before has ended. */
#include <math.h>
#include <string.h>

#include "base/clock.h"
#include "tests/gpu/bench.h"
#include "tests/gpu/studio.h"
#include "tests/gpu/timing.h"

enum { JOBS = 8, ARRIVALS_MAX = 64 };

static Darkroom__V1__Job job_number(const struct gpu_settings *settings, int number) {
  static char ids[ARRIVALS_MAX][32];
  char *id = ids[number % ARRIVALS_MAX];
  snprintf(id, sizeof ids[0], "job-%d", number);
  return settings->tiny ? studio_job("tiny-eps", id, (uint64_t)number, 64, 4)
                        : studio_job("sd15", id, (uint64_t)number, 512, 20);
}

static void open_studio(struct studio *studio, const struct gpu_settings *settings,
                        struct report *report) {
  studio_open(studio, settings,
              &(struct studio_wish){.models = {settings->tiny ? "tiny-eps" : "sd15"}}, report);
}

static double together_ms(struct studio *studio, const struct gpu_settings *settings) {
  book_close(&studio->book);
  int64_t begin = clock_ns();
  for (int i = 0; i < JOBS; i++) {
    const Darkroom__V1__Job job = job_number(settings, i);
    studio_admit(studio, &job);
  }
  studio_finish(studio);
  return milliseconds_since(begin);
}

static double in_turn_ms(struct studio *studio, const struct gpu_settings *settings) {
  book_close(&studio->book);
  int64_t begin = clock_ns();
  for (int i = 0; i < JOBS; i++) {
    const Darkroom__V1__Job job = job_number(settings, i);
    studio_do(studio, &job);
  }
  return milliseconds_since(begin);
}

/* Taking turns, so that both meet the same card. */
void bench_jobs(const struct gpu_settings *settings, struct report *report) {
  struct studio studio;
  struct series together = {0}, in_turn = {0};
  open_studio(&studio, settings, report);
  int warming = settings->tiny ? 0 : 2;
  for (int i = 0; i < warming + (settings->tiny ? 1 : 3) && report_seconds_left(report) > 1; i++) {
    double one = together_ms(&studio, settings), other = in_turn_ms(&studio, settings);
    if (i >= warming) {
      series_add(&together, one);
      series_add(&in_turn, other);
    }
  }
  report_value(report, "together", 1000 * JOBS / series_at(&together, 0.5), "pictures/s");
  report_value(report, "in_turn", 1000 * JOBS / series_at(&in_turn, 0.5), "pictures/s");
  studio_close(&studio);
}

/* ---- arrivals: a Poisson process with a stated seed ---- */

static double unit(uint64_t *state) {
  *state += 0x9e3779b97f4a7c15u;
  uint64_t x = *state;
  x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9u;
  x = (x ^ x >> 27) * 0x94d049bb133111ebu;
  return ((double)((x ^ x >> 31) >> 11) + 0.5) * 0x1p-53;
}

struct course {
  struct studio *studio;
  const struct gpu_settings *settings;
  int count, arrived, ended;
  bool by_request; /* who comes during a batch waits for its end */
  double arrival_ms[ARRIVALS_MAX];
  bool counted[ARRIVALS_MAX];
  struct series waits;
  int64_t begin_ns;
};

static void draw_arrivals(struct course *course, double gap_ms) {
  uint64_t state = 2026;
  double at = 0;
  for (int i = 0; i < course->count; i++) {
    course->arrival_ms[i] = at;
    at -= gap_ms * log(unit(&state));
  }
}

/* Who has come by now is taken while there is room. */
static void admit_arrived(struct course *course) {
  if (course->by_request && engine_busy(course->studio->engine)) {
    return;
  }
  double now = milliseconds_since(course->begin_ns);
  while (course->arrived < course->count && course->arrival_ms[course->arrived] <= now) {
    const Darkroom__V1__Job job = job_number(course->settings, course->arrived);
    enum status status = engine_admit(course->studio->engine, &job, 1, NULL);
    if (status == EXHAUSTED) {
      return;
    }
    report_must(course->studio->report, job.id, status);
    course->arrived++;
  }
}

static void count_ended(struct course *course) {
  double now = milliseconds_since(course->begin_ns);
  for (int i = 0; i < course->arrived; i++) {
    const Darkroom__V1__Job job = job_number(course->settings, i);
    if (!course->counted[i] && studio_entry(course->studio, job.id)->finished == 1) {
      course->counted[i] = true;
      course->ended++;
      series_add(&course->waits, now - course->arrival_ms[i]);
    }
  }
}

static void run_course(struct course *course, struct report *report, const char *what) {
  char name[64];
  book_close(&course->studio->book);
  course->begin_ns = clock_ns();
  while (course->ended < course->count && report_seconds_left(report) > 0) {
    admit_arrived(course);
    if (engine_busy(course->studio->engine)) {
      report_must(report, "a turn", engine_turn(course->studio->engine));
      count_ended(course);
    } else {
      clock_sleep_ms(1);
    }
  }
  double seconds = milliseconds_since(course->begin_ns) / 1000;
  snprintf(name, sizeof name, "%s.median", what);
  report_value(report, name, series_at(&course->waits, 0.5), "ms");
  snprintf(name, sizeof name, "%s.p90", what);
  report_value(report, name, series_at(&course->waits, 0.9), "ms");
  snprintf(name, sizeof name, "%s.throughput", what);
  report_value(report, name, course->ended / seconds, "pictures/s");
  snprintf(name, sizeof name, "%s.ended", what);
  report_holds(report, name, course->ended == course->count, "the time was over before the last");
  studio_finish(course->studio);
}

/* At seven tenths of what eight jobs together reach. */
void bench_arrivals(const struct gpu_settings *settings, struct report *report) {
  struct studio studio;
  open_studio(&studio, settings, report);
  in_turn_ms(&studio, settings);
  together_ms(&studio, settings);
  double gap_ms = together_ms(&studio, settings) / JOBS / 0.7;
  report_value(report, "gap", gap_ms, "ms between arrivals, in the mean");
  for (int by_request = 0; by_request < 2; by_request++) {
    struct course course = {.studio = &studio,
                            .settings = settings,
                            .count = settings->tiny ? 4 : 40,
                            .by_request = by_request == 1};
    draw_arrivals(&course, gap_ms);
    run_course(&course, report, by_request == 1 ? "by_request" : "by_step");
  }
  studio_close(&studio);
}
