/* prompt_weights.h - weights written into a prompt, as users of A1111's web UI write them.
 *
 *     (word)      1.1 times       [word]   1/1.1 times      both nest, and multiply
 *     (word:1.3)  1.3 times       \( \) \[ \] \\   the character itself
 *     BREAK       ends a chunk of the prompt
 *
 * What is not closed holds to the end; a bracket or a weight that closes nothing is text. The rules
 * are those of the web UI's prompt_parser.py (parse_prompt_attention).
 */
#ifndef DARKROOM_WORKER_MODEL_PROMPT_WEIGHTS_H
#define DARKROOM_WORKER_MODEL_PROMPT_WEIGHTS_H

#include <stddef.h>

#include "base/arena.h"
#include "base/status.h"

#define PROMPT_WEIGHT_MAX 100.0 /* of magnitude */

/* A prompt without its markup: each byte of the text with a weight. */
struct weighted_text {
  char *text;
  double *weight;
  int *breaks; /* how many BREAKs stand before each byte, and behind the last */
  size_t length;
};

/* Takes out's memory from the arena. BAD_INPUT (field "prompt"): a weight that is no number or out
 * of bounds, brackets nested deeper than the text has room for weights. */
enum status prompt_weights_read(struct arena *arena, const char *prompt, struct weighted_text *out);

#endif
