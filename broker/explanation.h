/* explanation.h - why a job waits, in lines for people. */
#ifndef DARKROOM_BROKER_EXPLANATION_H
#define DARKROOM_BROKER_EXPLANATION_H

#include "broker/turn.h"

/* From the facts that explain.lua returns. Fills state and reason; the lines are in the turn's
 * arena. */
enum status explanation_write(struct turn *turn, const redisReply *facts,
                              Darkroom__V1__Explanation *out);

#endif
