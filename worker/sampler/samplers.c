/* samplers.c - the rows of proto/samplers.def as the plans need them. */
#include "worker/sampler/fill.h"

#define ANY_SCHEDULE true
#define MODEL_SCHEDULE false
#define USES_ETA true
#define NO_ETA false

const struct sampler samplers[] = {
#define SAMPLER(ID, number, name, shown, schedules, eta, noise, steps, purpose, source) \
  {#name, schedules, eta, name##_fill},
#include "proto/samplers.def"
};
const size_t sampler_count = sizeof samplers / sizeof samplers[0];

static const char *const schedule_names[] = {
#define NOISE_SCHEDULE(ID, number, name, shown, source) [number] = #name,
#include "proto/samplers.def"
};

const char *schedule_name(enum noise_schedule schedule) {
  bool known = schedule > 0 && (size_t)schedule < sizeof schedule_names / sizeof *schedule_names;
  return known ? schedule_names[schedule] : NULL;
}
