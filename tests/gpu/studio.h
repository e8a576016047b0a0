/* studio.h - an engine on the device that is looked at, and short words for jobs. */
#ifndef DARKROOM_TESTS_GPU_STUDIO_H
#define DARKROOM_TESTS_GPU_STUDIO_H

#include "tests/gpu/part.h"
#include "tests/unit/engine/book.h"
#include "worker/engine/engine.h"

enum { STUDIO_MODELS_MAX = 3, STUDIO_IMAGES_MAX = 16 };

struct studio {
  struct device *device;
  struct engine *engine;
  struct book book;
  struct report *report;
  const struct gpu_settings *settings;
  char folder[STUDIO_MODELS_MAX][512];
};

/* Which model, by the name that its jobs give: "tiny-eps", "tiny-v", "sd15" or "demo". */
struct studio_wish {
  const char *models[STUDIO_MODELS_MAX];
  struct device_settings device;
  bool plain;        /* without graphs; also where the part's environment has DARKROOM_GPU_PLAIN */
  size_t memory_max; /* of the engine; 0: what the device's settings leave */
};

/* Opens, or ends the part. What a wish leaves out is chosen here. */
void studio_open(struct studio *studio, const struct gpu_settings *settings,
                 const struct studio_wish *wish, struct report *report);
void studio_close(struct studio *studio);

/* Takes a job, or ends the part. */
void studio_admit(struct studio *studio, const Darkroom__V1__Job *job);
/* Turns until all is done. */
void studio_finish(struct studio *studio);
/* Does the job and gives what was written about it, its picture included. */
const struct entry *studio_do(struct studio *studio, const Darkroom__V1__Job *job);

/* What was written about a job. */
const struct entry *studio_entry(struct studio *studio, const char *id);

/* A guided job of one picture by Euler. The id is kept by reference. */
Darkroom__V1__Job studio_job(const char *model, const char *id, uint64_t seed, int side,
                             uint32_t steps);

#endif
