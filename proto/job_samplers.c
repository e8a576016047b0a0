/* job_samplers.c - rows of samplers.def: names, checks, and what is shown of them. */
#include "proto/job_samplers.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "base/limits.h"
#include "base/nearest.h"

#define UNKNOWN_SAMPLER DARKROOM__V1__ERROR_CODE__ERROR_UNKNOWN_SAMPLER
#define SCHEDULE_MODEL DARKROOM__V1__NOISE_SCHEDULE__NOISE_SCHEDULE_MODEL

/* The enums of the contract are written from the same rows (tests/check/samplers.py). */
#define SAMPLER(ID, number, ...) \
  _Static_assert(DARKROOM__V1__SAMPLER__SAMPLER_##ID == (number), "darkroom.proto: `make docs`");
#define NOISE_SCHEDULE(ID, number, ...)                                         \
  _Static_assert(DARKROOM__V1__NOISE_SCHEDULE__NOISE_SCHEDULE_##ID == (number), \
                 "darkroom.proto: `make docs`");
#include "proto/samplers.def"

/* Rows by their numbers; where there is none the name is NULL. */
struct sampler_row {
  const char *name;
  const char *shown;
  bool any_schedule, own_timesteps, uses_eta;
};
#define ANY_SCHEDULE .any_schedule = true
#define MODEL_SCHEDULE .any_schedule = false
#define OWN_TIMESTEPS .own_timesteps = true
#define USES_ETA .uses_eta = true
#define NO_ETA .uses_eta = false
static const struct sampler_row samplers[] = {
#define SAMPLER(ID, number, name, shown, schedules, eta, ...) \
  [number] = {#name, shown, schedules, eta},
#include "proto/samplers.def"
};
static const struct schedule_row {
  const char *name;
  const char *shown;
  const char *behind; /* a sampler's name */
} schedules[] = {
#define NOISE_SCHEDULE(ID, number, name, shown, behind, source) [number] = {#name, shown, behind},
#include "proto/samplers.def"
};
enum {
  SAMPLERS = sizeof samplers / sizeof samplers[0],
  SCHEDULES = sizeof schedules / sizeof schedules[0]
};

/* Behind their first comma. */
static const char sampler_list[] =
#define SAMPLER(ID, number, name, ...) ", " #name
#include "proto/samplers.def"
    ;
static const char schedule_list[] =
#define NOISE_SCHEDULE(ID, number, name, ...) ", " #name
#include "proto/samplers.def"
    ;
_Static_assert(sizeof sampler_list - 2 <= sizeof((struct refusal *)0)->limit,
               "a refusal holds the list of samplers");

#undef ANY_SCHEDULE
#undef MODEL_SCHEDULE
#undef OWN_TIMESTEPS
#define ANY_SCHEDULE(name) " " #name
#define MODEL_SCHEDULE(name) ""
#define OWN_TIMESTEPS(name) ""
const char job_sampler_help[] =
    "one of"
#define SAMPLER(ID, number, name, ...) " " #name
#include "proto/samplers.def"
    "; with"
#define NOISE_SCHEDULE(ID, number, name, shown, behind, source) behind " "
#include "proto/samplers.def"
    "behind it:"
#define SAMPLER(ID, number, name, shown, schedules, ...) schedules(name)
#include "proto/samplers.def"
    ;

static bool sampler_known(int sampler) {
  return sampler > 0 && sampler < SAMPLERS && samplers[sampler].name != NULL;
}
static bool schedule_known(int schedule) {
  return schedule > 0 && schedule < SCHEDULES && schedules[schedule].name != NULL;
}
static bool goes(int sampler, int schedule) {
  return sampler_known(sampler) && schedule_known(schedule) &&
         (schedule == SCHEDULE_MODEL || samplers[sampler].any_schedule);
}

/* The names of all pairs, written once. */
static char names[SAMPLERS][SCHEDULES][JOB_SAMPLER_BYTES_MAX + 1];
static void write_names(void) {
  for (int sampler = 0; sampler < SAMPLERS; sampler++) {
    for (int schedule = 0; schedule < SCHEDULES; schedule++) {
      if (goes(sampler, schedule)) {
        snprintf(names[sampler][schedule], sizeof names[0][0], "%s%s", samplers[sampler].name,
                 schedules[schedule].behind);
      }
    }
  }
}

const char *job_sampler_name(Darkroom__V1__Sampler sampler, Darkroom__V1__NoiseSchedule schedule) {
  static pthread_once_t once = PTHREAD_ONCE_INIT;
  (void)pthread_once(&once, write_names);
  return goes((int)sampler, (int)schedule) ? names[sampler][schedule] : NULL;
}

/* The index-th pair; false past the end. */
static bool pair_at(size_t index, Darkroom__V1__Sampler *sampler,
                    Darkroom__V1__NoiseSchedule *schedule) {
  for (int i = 0; i < SAMPLERS * SCHEDULES; i++) {
    if (goes(i / SCHEDULES, i % SCHEDULES) && index-- == 0) {
      *sampler = (Darkroom__V1__Sampler)(i / SCHEDULES);
      *schedule = (Darkroom__V1__NoiseSchedule)(i % SCHEDULES);
      return true;
    }
  }
  return false;
}

const char *job_sampler_offered(size_t index) {
  Darkroom__V1__Sampler sampler;
  Darkroom__V1__NoiseSchedule schedule;
  return pair_at(index, &sampler, &schedule) ? job_sampler_name(sampler, schedule) : NULL;
}

enum status job_sampler_parse(const char *name, Darkroom__V1__Sampler *sampler,
                              Darkroom__V1__NoiseSchedule *schedule, struct refusal *why) {
  struct nearest nearest = {.typed = name};
  const char *offered;
  for (size_t i = 0; (offered = job_sampler_offered(i)) != NULL; i++) {
    if (strcmp(offered, name) == 0) {
      (void)pair_at(i, sampler, schedule);
      return OK;
    }
    nearest_offer(&nearest, offered);
  }
  bool near = nearest.name != NULL;
  return refuse(why, UNKNOWN_SAMPLER, "sampler", sampler_list + 2,
                "there is no sampler \"%.32s\"; %s%s%s", name,
                near ? "did you mean " : "there are ", near ? nearest.name : sampler_list + 2,
                near ? "?" : "");
}

const char *job_sampler_shown(Darkroom__V1__Sampler sampler) {
  return sampler_known((int)sampler) ? samplers[sampler].shown : "unknown";
}

const char *job_schedule_shown(Darkroom__V1__NoiseSchedule schedule) {
  return schedule_known((int)schedule) ? schedules[schedule].shown : "unknown";
}

static enum status check_known(int sampler, int schedule, struct refusal *why) {
  if (!sampler_known(sampler)) {
    return refuse(why, UNKNOWN_SAMPLER, "sampler", sampler_list + 2, "there is no sampler %d",
                  sampler);
  }
  if (!schedule_known(schedule)) {
    return refuse(why, UNKNOWN_SAMPLER, "noise_schedule", schedule_list + 2,
                  "there is no noise schedule %d", schedule);
  }
  if (!goes(sampler, schedule)) {
    return refuse(why, UNKNOWN_SAMPLER, "noise_schedule", "model, for this sampler",
                  "%s has no %s schedule", samplers[sampler].name, schedules[schedule].name);
  }
  return OK;
}

enum status job_sampler_check(const Darkroom__V1__Job *job, struct refusal *why) {
  int sampler = job->has_sampler ? (int)job->sampler : JOB_SAMPLER_STANDARD;
  int schedule = job->has_noise_schedule ? (int)job->noise_schedule : SCHEDULE_MODEL;
  TRY(check_known(sampler, schedule, why));
  const struct sampler_row *row = &samplers[sampler];
  if (job->has_eta && job->eta != 0.0 && !row->uses_eta) {
    return refuse(why, DARKROOM__V1__ERROR_CODE__ERROR_FIELD, "eta", "0, for this sampler",
                  "%s has no eta", row->name);
  }
  if (job->has_spacing && job->spacing != DARKROOM__V1__SPACING__SPACING_MODEL &&
      row->own_timesteps) {
    return refuse(why, DARKROOM__V1__ERROR_CODE__ERROR_FIELD, "spacing", "model, for this sampler",
                  "%s has timesteps of its own", row->name);
  }
  return OK;
}
