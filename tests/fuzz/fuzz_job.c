/* fuzz_job.c - any bytes as a Job: refused with a reason, or within every limit and stable through
 * storage. */
#include <assert.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/limits.h"
#include "proto/job.h"
#include "proto/json.h"
#include "proto/wire.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void accepted(Darkroom__V1__Job *job, struct arena *arena) {
  uint8_t before[JOB_DIGEST_BYTES];
  uint8_t after[JOB_DIGEST_BYTES];
  struct bytes text;
  job_defaults(job);
  assert(job_check(job, NULL) == OK);
  assert(job->steps >= 1 && job->steps <= JOB_STEPS_MAX && job->images <= JOB_IMAGES_MAX);
  assert(job_sampler_name(job->sampler, job->noise_schedule) != NULL);
  bytes_open(&text, (size_t)16 << 20);
  assert(job_to_json(job, &text) == OK);
  bytes_close(&text);
  if (job_digest(job, before) != OK) {
    return; /* unknown fields can make it larger than a frame */
  }
  job->base.n_unknown_fields = 0;
  size_t bytes = darkroom__v1__job__get_packed_size(job);
  uint8_t *packed = arena_take(arena, bytes);
  darkroom__v1__job__pack(job, packed);
  ProtobufCMessage *again = NULL;
  assert(wire_unpack_type(&darkroom__v1__job__descriptor, packed, bytes, arena, &again, NULL) ==
         OK);
  assert(job_digest((Darkroom__V1__Job *)again, after) == OK);
  assert(memcmp(before, after, sizeof before) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  static struct arena *arena;
  if (arena == NULL && arena_open(NULL, (size_t)16 << 20, &arena) != OK) {
    return 0;
  }
  struct refusal why = {0};
  ProtobufCMessage *message = NULL;
  arena_drop(arena);
  if (wire_unpack_type(&darkroom__v1__job__descriptor, data, size, arena, &message, &why) == OK &&
      job_check((Darkroom__V1__Job *)message, &why) == OK) {
    accepted((Darkroom__V1__Job *)message, arena);
  } else {
    assert(why.code != 0 && why.message[0] != '\0');
  }
  return 0;
}
