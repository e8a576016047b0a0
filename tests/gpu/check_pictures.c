/* check_pictures.c - whole pictures: as diffusers makes them, the same among batch mates, the same
 * from a graph. */
#include "base/bytes.h"
#include "proto/job.h"
#include "tests/gpu/check.h"
#include "tests/gpu/studio.h"
#include "worker/model/safetensors.h"

#define GOLDENS "tests/model/goldens/tiny.safetensors"
#define GOLDENS_BYTES_MAX ((size_t)4 << 20)
enum { TINY_SIDE = 64 };

static const char *const tiny_models[] = {"tiny-eps", "tiny-v"};

/* ---- against diffusers ---- */

struct goldens {
  struct bytes file;
  struct arena *arena;
  struct safetensors table;
};

static void goldens_open(struct goldens *goldens, struct report *report) {
  bytes_open(&goldens->file, GOLDENS_BYTES_MAX);
  report_must(report, GOLDENS, bytes_read_file(&goldens->file, GOLDENS));
  report_must(report, GOLDENS, arena_open(NULL, GOLDENS_BYTES_MAX, &goldens->arena));
  report_must(report, GOLDENS,
              safetensors_read("goldens", goldens->file.data, goldens->file.length, goldens->arena,
                               &goldens->table));
}

static void goldens_close(struct goldens *goldens) {
  arena_close(&goldens->arena);
  bytes_close(&goldens->file);
}

static Darkroom__V1__Job golden_job(const char *model, const char *sampler, struct report *report) {
  static char id[JOB_ID_BYTES_MAX + 1];
  snprintf(id, sizeof id, "%s.%s", model, sampler);
  Darkroom__V1__Job job = studio_job(model, id, 1234, TINY_SIDE, 8);
  job.negative_prompt = (char *)"snow and rain";
  job.has_noise_schedule = 1;
  report_must(report, sampler, job_sampler_parse(sampler, &job.sampler, &job.noise_schedule, NULL));
  return job;
}

/* Share of the bytes that are further off than the slack. */
static double share_off(const uint8_t *got, const uint8_t *wanted, size_t bytes, int slack) {
  size_t off = 0;
  for (size_t i = 0; i < bytes; i++) {
    off += abs(got[i] - wanted[i]) > slack;
  }
  return (double)off / (double)bytes;
}

struct bar {
  int slack;         /* how far off a byte may be */
  double share_past; /* of the bytes that may be further off */
};

static void check_golden(struct studio *studio, const struct goldens *goldens,
                         const Darkroom__V1__Job *job, const struct bar *bar) {
  char name[160];
  snprintf(name, sizeof name, "%s.pixels", job->id);
  const struct safetensors_entry *golden = safetensors_find(&goldens->table, name);
  size_t bytes = (size_t)TINY_SIDE * TINY_SIDE * 3;
  if (golden == NULL && job->noise_schedule != DARKROOM__V1__NOISE_SCHEDULE__NOISE_SCHEDULE_MODEL) {
    return; /* not every pair has one, but every sampler */
  }
  if (golden == NULL || golden->end - golden->begin != bytes) {
    report_holds(studio->report, name, false, "no such golden");
    return;
  }
  const struct entry *entry = studio_do(studio, job);
  double share = share_off(entry->rgb, goldens->table.data + golden->begin, bytes, bar->slack);
  snprintf(name, sizeof name, "%s.%s", job->id, element_name(device_element(studio->device)));
  report_bound(studio->report, name, share, bar->share_past);
}

static void check_goldens_in(const struct gpu_settings *settings, struct report *report,
                             bool force_f32, const struct bar *bar) {
  struct studio studio;
  struct goldens goldens;
  studio_open(
      &studio, settings,
      &(struct studio_wish){.models = {"tiny-eps", "tiny-v"}, .device.force_f32 = force_f32},
      report);
  goldens_open(&goldens, report);
  for (int m = 0; m < 2; m++) {
    for (size_t s = 0; job_sampler_offered(s) != NULL && (s == 0 || !settings->tiny); s++) {
      const Darkroom__V1__Job job = golden_job(tiny_models[m], job_sampler_offered(s), report);
      check_golden(&studio, &goldens, &job, bar);
    }
  }
  goldens_close(&goldens);
  studio_close(&studio);
}

/* f16 keeps three bits more than the bf16 for which the unit tests allow 16 and 5%. */
void check_goldens(const struct gpu_settings *settings, struct report *report) {
  check_goldens_in(settings, report, true, &(struct bar){1, 0.001});
  check_goldens_in(settings, report, false, &(struct bar){4, 0.01});
}

/* ---- the self-test ---- */

/* An engine opens only if every model's self-test passes. */
void check_self_test(const struct gpu_settings *settings, struct report *report) {
  static const struct studio_wish wishes[] = {
      {.models = {"tiny-eps"}},
      {.models = {"tiny-v"}, .device.force_f32 = true},
      {.models = {"demo"}},
      {.models = {"sd15"}},
  };
  for (size_t i = 0; i < (settings->tiny ? 1 : sizeof wishes / sizeof wishes[0]); i++) {
    struct studio studio;
    char name[64];
    studio_open(&studio, settings, &wishes[i], report);
    snprintf(name, sizeof name, "%s in %s", wishes[i].models[0],
             element_name(device_element(studio.device)));
    report_holds(report, name, true, "");
    studio_close(&studio);
  }
}

/* ---- batch mates ---- */

/* So many others of other seeds, steps and prompts. */
static void admit_mates(struct studio *studio, const Darkroom__V1__Job *job, int mates) {
  static char ids[STUDIO_IMAGES_MAX][32];
  for (int k = 0; k < mates; k++) {
    Darkroom__V1__Job mate = *job;
    snprintf(ids[k], sizeof ids[k], "mate-%d", k);
    mate.id = ids[k];
    mate.seed = 900 + (uint64_t)k;
    mate.steps = job->steps + (uint32_t)k % 3;
    mate.prompt = (char *)(k % 2 == 0 ? "snow" : "a boat on the lake");
    studio_admit(studio, &mate);
  }
}

/* A job alone, and then among others: the same picture, in a batch that was as large as meant. */
static void check_mates_of(struct studio *studio, const Darkroom__V1__Job *job, int mates) {
  char name[96], why[96];
  uint32_t rows = (uint32_t)(mates + 1) * (job->guidance_scale == 1 ? 1 : 2);
  uint64_t alone = studio_do(studio, job)->hash[0];
  book_close(&studio->book);
  admit_mates(studio, job, mates);
  uint64_t among = studio_do(studio, job)->hash[0];
  snprintf(name, sizeof name, "%s among %u rows", job->id, rows);
  report_holds(studio->report, name, alone == among, "another picture than alone");
  if (!studio->settings->tiny) { /* there a slow device may take fewer at a time */
    snprintf(why, sizeof why, "never more than %u were taken together", studio->book.largest_rows);
    report_holds(studio->report, name, studio->book.largest_rows >= rows, why);
  }
  book_close(&studio->book);
}

static void check_mates_on(const struct gpu_settings *settings, struct report *report,
                           const char *model, int side) {
  struct studio studio;
  studio_open(&studio, settings, &(struct studio_wish){.models = {model}}, report);
  for (int mates = 1; mates <= (settings->tiny ? 2 : 15); mates++) {
    char id[64];
    snprintf(id, sizeof id, "%s-%d", model, mates);
    Darkroom__V1__Job job = studio_job(model, id, 1000 + (uint64_t)mates, side, 4);
    job.guidance_scale = mates % 4 == 3 ? 7.5 : 1.0; /* two rows a picture, or one */
    if (report_seconds_left(report) < 0) {
      report_holds(report, id, false, "the time was over before it");
      break;
    }
    check_mates_of(&studio, &job, mates);
  }
  studio_close(&studio);
}

void check_picture_mates(const struct gpu_settings *settings, struct report *report) {
  check_mates_on(settings, report, "tiny-eps", TINY_SIDE);
  if (!settings->tiny) {
    check_mates_on(settings, report, "demo", 128);
    check_mates_on(settings, report, "sd15", 512);
  }
}

/* ---- from a graph or op by op ---- */

static uint64_t picture_of(struct studio *studio, const char *model, int side, int again) {
  char id[64];
  snprintf(id, sizeof id, "%s-%d", model, again);
  const Darkroom__V1__Job job = studio_job(model, id, 77, side, 4);
  return studio_do(studio, &job)->hash[0];
}

static void check_sequences_of(const struct gpu_settings *settings, struct report *report,
                               const char *model, int side) {
  struct studio studio;
  uint64_t pictures[4];
  for (int plain = 0; plain < 2; plain++) {
    studio_open(&studio, settings, &(struct studio_wish){.models = {model}, .plain = plain == 1},
                report);
    for (int again = 0; again < 2; again++) { /* the second all from graphs, if there are any */
      pictures[2 * plain + again] = picture_of(&studio, model, side, again);
    }
    studio_close(&studio);
  }
  bool same =
      pictures[0] == pictures[1] && pictures[0] == pictures[2] && pictures[0] == pictures[3];
  report_holds(report, model, same, "another picture from a graph than op by op");
}

void check_sequences(const struct gpu_settings *settings, struct report *report) {
  check_sequences_of(settings, report, "tiny-eps", TINY_SIDE);
  if (!settings->tiny) {
    check_sequences_of(settings, report, "demo", 128);
    check_sequences_of(settings, report, "sd15", 512);
  }
}
