/* extras.h - what this worker has beside its models: rows of the table that jobs may name. */
#ifndef DARKROOM_WORKER_EXTRAS_H
#define DARKROOM_WORKER_EXTRAS_H

#include "worker/worker.h"

/* Fills infos and list (EXTRAS_MAX each) with the control nets, adapters, embeddings and tiny
 * decoders that a ready device has, each once; how many. Texts are borrowed from the table. */
size_t extras_list(const struct worker *worker, Darkroom__V1__ExtraInfo *infos,
                   Darkroom__V1__ExtraInfo **list);

/* Whether the device that a job is for has all that it names; fail_reason() says what it has not.
 * In a fleet whose workers differ another one may. */
bool extras_here(const struct worker *worker, const struct held *held);

#endif
