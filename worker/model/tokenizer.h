/* tokenizer.h - CLIP's byte-pair tokenizer: a prompt to a fixed number of token ids.
 *
 * Agrees with transformers 4.57: its CLIPTokenizer without ftfy, or its CLIPTokenizerFast. Which
 * one is said by the model's index, since diffusers opens the class named there. Special tokens
 * are taken out, the rest is cleaned (prompt.h) and split into words, byte pairs are joined;
 * begin and end marks, cut or padded to the text encoder's length.
 */
#ifndef DARKROOM_WORKER_MODEL_TOKENIZER_H
#define DARKROOM_WORKER_MODEL_TOKENIZER_H

#include <stddef.h>
#include <stdint.h>

#include "base/status.h"
#include "worker/model/prompt.h"

struct tokenizer;

/* What the text encoder expects: ids below vocabulary, `tokens` of them; and the class. */
struct tokenizer_shape {
  int vocabulary, tokens;
  enum prompt_rules rules;
};
/* The files' contents; the special tokens by their text. */
struct tokenizer_texts {
  const char *vocabulary;
  size_t vocabulary_bytes;
  const char *merges;
  const char *start, *end, *pad, *unknown;
};

/* Reads vocab.json, merges.txt, tokenizer_config.json and special_tokens_map.json of folder/name
 * ("tokenizer" or "tokenizer_2"). BAD_INPUT (field "config") names the file and what is wrong or
 * not implemented. */
enum status tokenizer_open(const char *folder, const char *name, struct tokenizer_shape shape,
                           struct tokenizer **out);
/* The same from memory. */
enum status tokenizer_make(const struct tokenizer_texts *texts, struct tokenizer_shape shape,
                           struct tokenizer **out);
void tokenizer_close(struct tokenizer **tokenizer);

/* Fills ids[0..shape.tokens), or on failure none. A prompt that is too long loses its end.
 * BAD_INPUT (field "prompt") for more than JOB_PROMPT_BYTES_MAX bytes or text that is not UTF-8. */
enum status tokenizer_encode(const struct tokenizer *tokenizer, const char *prompt, int32_t *ids);

/* ---- a text without its marks, for who puts tokens together himself ---- */

struct token_list {
  int32_t *id;
  int count, max;
};
/* Appends the tokens of a text, as many as have room. Outcomes alike. */
enum status tokenizer_append(const struct tokenizer *tokenizer, const char *text, size_t length,
                             struct token_list *list);
/* What stands before and behind a text, and what fills the rest. */
struct token_marks {
  int32_t start, end, pad;
};
struct token_marks tokenizer_marks(const struct tokenizer *tokenizer);

#endif
