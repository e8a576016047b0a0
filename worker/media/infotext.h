/* infotext.h - the part of AUTOMATIC1111's infotext that only some jobs have. */
#ifndef DARKROOM_WORKER_MEDIA_INFOTEXT_H
#define DARKROOM_WORKER_MEDIA_INFOTEXT_H

#include "base/bytes.h"
#include "base/status.h"
#include "proto/darkroom.pb-c.h"

/* Appends "Name: value, " of all that the job has of these: strength, clip skip (as its users
 * count: 1 is the last layer), eta, second pass, refiner, control nets, adapters, embeddings.
 * Values with commas stand in quotes, as its readers expect. */
enum status infotext_rest(const Darkroom__V1__Job *job, struct bytes *out);

#endif
