/* reply.h - what Redis answered, read element by element: the ground on which queue_read.c and
 * record.c stand.
 *
 * Nothing here fails: what is missing or of another type is 0 or "". Who needs to know asks first.
 */
#ifndef DARKROOM_BROKER_REPLY_H
#define DARKROOM_BROKER_REPLY_H

#include <hiredis/hiredis.h>
#include <stddef.h>
#include <stdint.h>

#include "proto/darkroom.pb-c.h"

/* An element as a number or text: 0 and "" for nil. Texts are borrowed from the reply. */
uint64_t reply_number(const redisReply *reply);
const char *reply_text(const redisReply *reply);

/* The same of an array's element; 0 and "" past its end. */
uint64_t reply_number_at(const redisReply *reply, size_t index);
const char *reply_text_at(const redisReply *reply, size_t index);

/* The index of word in words[1..count); 0 if it is not there. */
size_t reply_word(const char *const *words, size_t count, const char *word);

/* "QUEUED" <-> the enum, as scripts write it; 0 for a word that is no state, "" for no state. */
const char *reply_state_word(Darkroom__V1__JobState state);
Darkroom__V1__JobState reply_state(const char *word);

#endif
