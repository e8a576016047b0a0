/* samplers.c - the rows of proto/samplers.def as the plans need them. */
#include "worker/sampler/fill.h"

#define ANY_SCHEDULE .any_schedule = true
#define MODEL_SCHEDULE .any_schedule = false
#define OWN_TIMESTEPS .own_timesteps = true
#define USES_ETA .uses_eta = true
#define NO_ETA .uses_eta = false

const struct sampler samplers[] = {
#define SAMPLER(ID, number, name, shown, schedules, eta, ...) {#name, name##_fill, schedules, eta},
#include "proto/samplers.def"
};
const size_t sampler_count = sizeof samplers / sizeof samplers[0];

static const char *const schedule_names[] = {
#define NOISE_SCHEDULE(ID, number, name, ...) [number] = #name,
#include "proto/samplers.def"
};

const char *schedule_name(enum noise_schedule schedule) {
  bool known = schedule > 0 && (size_t)schedule < sizeof schedule_names / sizeof *schedule_names;
  return known ? schedule_names[schedule] : NULL;
}
