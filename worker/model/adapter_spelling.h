/* adapter_spelling.h - the name of a module in other people's words. */
#ifndef DARKROOM_WORKER_MODEL_ADAPTER_SPELLING_H
#define DARKROOM_WORKER_MODEL_ADAPTER_SPELLING_H

#include <stdbool.h>
#include <stddef.h>

#include "worker/model/adapter_names.h"

/* A name in the making; what does not fit makes it no name. */
struct spelling {
  char text[ADAPTER_NAME_BYTES_MAX];
  size_t length;
  bool cut;
};
void spelling_add(struct spelling *spelling, const char *text);

/* Ways to write a module's name. Each adds it to *out and says whether it has one. */
typedef bool spelling_way(const struct adapter_target *target, const struct module *module,
                          struct spelling *out);
/* As the list has it: diffusers' and transformers'. */
spelling_way spelling_own;
/* A text encoder's without "text_model.", as transformers from 5.6 has them. */
spelling_way spelling_bare;
/* A U-Net's in the original code (Rombach et al. 2022): "input_blocks.1.1.proj_in". */
spelling_way spelling_original;
/* A text encoder's in OpenCLIP. Its q, k and v are one matrix, which goes by the name of q. */
spelling_way spelling_open_clip;
/* A layer of an attention as diffusers wrote it before PEFT: "attn1.processor.to_q_lora", and in
 * text encoders "self_attn.to_q_lora". */
spelling_way spelling_processor;

/* Whether a module is the first of three that OpenCLIP has as one. */
bool spelling_is_joined(const struct module *module);

#endif
