/* report.h - what the engine tells, said over the pipe to the parent. */
#ifndef DARKROOM_WORKER_ENGINE_REPORT_H
#define DARKROOM_WORKER_ENGINE_REPORT_H

#include "worker/engine/engine.h"
#include "worker/engine/pipe.h"

struct reporter {
  struct pipe *pipe;
  bool lost; /* the parent is gone: nothing more is sent */
};

/* The engine's listener; reporter is borrowed as its context. */
struct engine_listener report_listener(struct reporter *reporter);

/* What is ready, and on what. BROKEN: the device does not answer. */
enum status report_ready(struct reporter *reporter, const struct engine *engine,
                         const struct engine_settings *settings);
/* Why it leaves; reason is borrowed for the call. */
void report_leaving(struct reporter *reporter, const char *reason);
/* A job that the engine never saw: it may go better elsewhere. */
void report_no_room(struct reporter *reporter, const char *id, uint64_t fence, const char *reason);
/* Sends what still waits, blocking. */
void report_rest(struct reporter *reporter);

#endif
