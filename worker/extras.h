/* extras.h - what this worker has beside its models: rows of the table that jobs may name. */
#ifndef DARKROOM_WORKER_EXTRAS_H
#define DARKROOM_WORKER_EXTRAS_H

#include "worker/worker.h"

/* Fills infos and list (EXTRAS_MAX each) with the control nets, adapters, embeddings and tiny
 * decoders that a ready device has, each once; how many. Texts are borrowed from the table. */
size_t extras_list(const struct worker *worker, Darkroom__V1__ExtraInfo *infos,
                   Darkroom__V1__ExtraInfo **list);

/* Whether this child has all that a job names beside its model, a refiner among it; fail_reason()
 * says what it has not. */
bool extras_on(const struct worker *worker, size_t child, const Darkroom__V1__Job *job);

#endif
