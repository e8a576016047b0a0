/* prompt.h - a prompt's text as the CLIP tokenizer wants it. */
#ifndef DARKROOM_WORKER_MODEL_PROMPT_H
#define DARKROOM_WORKER_MODEL_PROMPT_H

#include "base/bytes.h"
#include "base/status.h"

/* Whose rules: the two classes of transformers that a model's index may name. They differ on
 * control and format characters (joiners in emoji), Chinese characters, the Greek final sigma. */
enum prompt_rules {
  PROMPT_PLAIN, /* CLIPTokenizer: what cannot be seen is dropped, Chinese characters stand apart */
  PROMPT_FAST,  /* CLIPTokenizerFast: every run of white space becomes one space, nothing else */
};

/* Appends length bytes of text to out: composed (NFC), in lower case, white space as single spaces,
 * all by the rules. No markup is read, so that the same prompt gives the same picture as in
 * diffusers. BAD_INPUT (field "prompt") for text that is not UTF-8. */
enum status prompt_clean(enum prompt_rules rules, const char *text, size_t length,
                         struct bytes *out);

#endif
