/* record.h - a sample written down: everything of it that a job and its models do not say. Put back
 * in another engine, on any row, it ends in the same bytes.
 *
 * Plain bytes, little endian: "DKSAMPLE", the version, stage, cursor, whether that row's noise has
 * been drawn, a digest of the plans and shapes it belongs to, the generator (624 words, the next
 * one, and the second normal value that torch's generator may hold back), then f32: all slots, the
 * drawn noise, and what a mask keeps or a model is told of it. */
#ifndef DARKROOM_WORKER_ENGINE_RECORD_H
#define DARKROOM_WORKER_ENGINE_RECORD_H

#include <stddef.h>
#include <stdint.h>

#include "worker/engine/sample.h"

#define RECORD_VERSION 1

/* Bytes that writing it takes now. */
size_t sample_state_bytes(const struct sample *sample);
/* Writes exactly so many. Between turns: it waits for those in flight. UNAVAILABLE while pictures
 * that it begins with are still to be encoded; BROKEN. */
enum status sample_state_write(const struct sample *sample, struct device *device, uint8_t *out);

/* BAD_INPUT (field "state") unless the bytes are a state of a sample of this recipe. */
enum status record_check(const struct sample *sample, const uint8_t *state, size_t bytes);
/* Puts a checked one into the sample. Private to beginning.c. */
enum status record_put(struct sample *sample, struct device *device, const uint8_t *state,
                       size_t bytes);

#endif
