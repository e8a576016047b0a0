/* words.h - short words for jobs. */
#ifndef DARKROOM_TESTS_UNIT_ENGINE_WORDS_H
#define DARKROOM_TESTS_UNIT_ENGINE_WORDS_H

#include "proto/darkroom.pb-c.h"

/* A guided job of one small picture by euler in four steps; change what a test is about. */
static inline Darkroom__V1__Job job_of(const char *id, const char *prompt, uint64_t seed) {
  Darkroom__V1__Job job = DARKROOM__V1__JOB__INIT;
  job.id = (char *)id;
  job.model = (char *)"fake";
  job.prompt = (char *)prompt;
  job.has_seed = job.has_steps = job.has_width = job.has_height = job.has_sampler = 1;
  job.seed = seed;
  job.steps = 4;
  job.width = job.height = 64;
  job.sampler = DARKROOM__V1__SAMPLER__SAMPLER_EULER;
  return job;
}

#endif
