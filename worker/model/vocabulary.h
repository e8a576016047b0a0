/* vocabulary.h - the byte-pair tables of a CLIP tokenizer: which two symbols join, in which order,
 * into which.
 *
 * After loading no text is left: a symbol is its id, bytes start a word as ids, and a merge is a
 * pair of ids.
 */
#ifndef DARKROOM_WORKER_MODEL_VOCABULARY_H
#define DARKROOM_WORKER_MODEL_VOCABULARY_H

#include <jansson.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/status.h"

#define SYMBOL_NONE (-1) /* no id: the vocabulary does not have it */

struct merge {
  int32_t left, right; /* SYMBOL_NONE: an empty place of the table */
  int32_t rank;        /* lower joins first */
  int32_t result;
};
struct vocabulary {
  int32_t byte[256];      /* the symbol of a byte inside a word */
  int32_t last_byte[256]; /* and at its end ("</w>") */
  size_t mask;            /* places of the hash table, less one */
  struct merge *merges;
};

/* Builds the tables from the tokens of a vocab.json (names to ids below `size`) and the text of a
 * merges.txt. BAD_INPUT (field "config"): an id out of range, a merge whose parts or result are no
 * tokens, a merge twice. */
enum status vocabulary_make(struct arena *arena, const json_t *tokens, int size, const char *merges,
                            struct vocabulary *out);

/* The merge of two symbols, or NULL. */
const struct merge *vocabulary_merge(const struct vocabulary *vocabulary, int32_t left,
                                     int32_t right);

/* The id of a token's text, or SYMBOL_NONE. */
int32_t vocabulary_id(const json_t *tokens, const char *text);

#endif
