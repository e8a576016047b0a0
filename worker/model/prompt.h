/* prompt.h - a prompt's text as the CLIP tokenizer wants it. */
#ifndef DARKROOM_WORKER_MODEL_PROMPT_H
#define DARKROOM_WORKER_MODEL_PROMPT_H

#include "base/bytes.h"
#include "base/status.h"

/* Appends prompt to out: composed (NFC), every run of white space one space, lower case; in that
 * order, as transformers' CLIPTokenizerFast does it. Nothing else is changed: no markup is read, so
 * that the same prompt gives the same picture as in diffusers. BAD_INPUT (field "prompt") for text
 * that is not UTF-8. */
enum status prompt_clean(const char *prompt, struct bytes *out);

#endif
