/* adapter_spelling.c - tables of words, and the places of blocks in the original U-Net's lists. */
#include "worker/model/adapter_spelling.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TEXT_PREFIX "text_model."
#define LEVELS_AND_LAYERS_MAX 1000

/* ---- building ---- */

static void add_part(struct spelling *spelling, const char *text, size_t length) {
  if (spelling->length + length >= sizeof spelling->text) {
    spelling->cut = true;
    return;
  }
  memcpy(spelling->text + spelling->length, text, length);
  spelling->length += length;
  spelling->text[spelling->length] = '\0';
}

void spelling_add(struct spelling *spelling, const char *text) {
  add_part(spelling, text, strlen(text));
}

static void add_number(struct spelling *spelling, int number) {
  char text[16];
  snprintf(text, sizeof text, "%d", number);
  spelling_add(spelling, text);
}

static bool starts_with(const char *text, const char *start) {
  return strncmp(text, start, strlen(start)) == 0;
}

static bool ends_with(const char *text, const char *end) {
  size_t length = strlen(text), wanted = strlen(end);
  return length >= wanted && strcmp(text + length - wanted, end) == 0;
}

/* A word of ours and theirs. */
struct word {
  const char *own, *other;
};

/* The row whose own word is all of text; NULL: none. */
static const struct word *find_word(const struct word *words, const char *text) {
  for (; words->own != NULL; words++) {
    if (strcmp(words->own, text) == 0) {
      return words;
    }
  }
  return NULL;
}

/* The row whose own word ends text; NULL: none. */
static const struct word *find_ending(const struct word *words, const char *text) {
  for (; words->own != NULL; words++) {
    if (ends_with(text, words->own)) {
      return words;
    }
  }
  return NULL;
}

/* text with its ending, which is word->own, in their words. */
static void add_with_ending(struct spelling *out, const char *text, const struct word *word) {
  add_part(out, text, strlen(text) - strlen(word->own));
  spelling_add(out, word->other);
}

/* ---- as it is ---- */

bool spelling_own(const struct adapter_target *target, const struct module *module,
                  struct spelling *out) {
  (void)target;
  spelling_add(out, module->name);
  return true;
}

bool spelling_bare(const struct adapter_target *target, const struct module *module,
                   struct spelling *out) {
  (void)target;
  if (!starts_with(module->name, TEXT_PREFIX)) {
    return false;
  }
  spelling_add(out, module->name + strlen(TEXT_PREFIX));
  return true;
}

/* ---- the original U-Net ---- */

static const struct word ends[] = {{"conv_in", "input_blocks.0.0"},
                                   {"time_embedding.linear_1", "time_embed.0"},
                                   {"time_embedding.linear_2", "time_embed.2"},
                                   {"add_embedding.linear_1", "label_emb.0.0"},
                                   {"add_embedding.linear_2", "label_emb.0.2"},
                                   {"conv_norm_out", "out.0"},
                                   {"conv_out", "out.2"},
                                   {0}};
static const struct word of_resnets[] = {{"norm1", "in_layers.0"},
                                         {"conv1", "in_layers.2"},
                                         {"norm2", "out_layers.0"},
                                         {"conv2", "out_layers.3"},
                                         {"time_emb_proj", "emb_layers.1"},
                                         {"conv_shortcut", "skip_connection"},
                                         {0}};

/* "3.resnets.1.conv1" taken apart: level 3, kind "resnets", index 1, layer "conv1". */
struct place {
  int level, index;
  char kind[16];
  const char *layer;
};

/* A number and the dot behind it; NULL: there is none. */
static const char *read_number(const char *text, int *out) {
  char *end = NULL;
  long number = strtol(text, &end, 10);
  if (end == text || *end != '.' || number < 0 || number > LEVELS_AND_LAYERS_MAX) {
    return NULL;
  }
  *out = (int)number;
  return end + 1;
}

static bool read_place(const char *text, struct place *out) {
  struct place place = {0};
  text = read_number(text, &place.level);
  const char *dot = text != NULL ? strchr(text, '.') : NULL;
  if (dot == NULL || dot - text >= (ptrdiff_t)sizeof place.kind) {
    return false;
  }
  memcpy(place.kind, text, (size_t)(dot - text));
  place.layer = read_number(dot + 1, &place.index);
  if (place.layer == NULL) {
    return false;
  }
  *out = place;
  return true;
}

/* What stands behind the number of a block in their lists: the residual block is its first part,
 * the attention its second. */
static bool add_layer(struct spelling *out, const char *kind, const char *layer) {
  if (strcmp(kind, "attentions") == 0) {
    spelling_add(out, ".1.");
    spelling_add(out, layer);
    return true;
  }
  const struct word *word = strcmp(kind, "resnets") == 0 ? find_word(of_resnets, layer) : NULL;
  if (word == NULL) {
    return false;
  }
  spelling_add(out, ".0.");
  spelling_add(out, word->other);
  return true;
}

/* Of a level on the way down: its layers, then what halves; conv_in comes before all. */
static bool add_down(const struct unet_facts *facts, const struct place *place,
                     struct spelling *out) {
  bool halving = strcmp(place->kind, "downsamplers") == 0;
  int layer = halving ? facts->layers_per_block : place->index;
  spelling_add(out, "input_blocks.");
  add_number(out, 1 + place->level * (facts->layers_per_block + 1) + layer);
  if (!halving) {
    return add_layer(out, place->kind, place->layer);
  }
  spelling_add(out, ".0.op");
  return strcmp(place->layer, "conv") == 0;
}

/* Of a level on the way up: its layers, the last of them with what doubles. */
static bool add_up(const struct unet_facts *facts, const struct place *place,
                   struct spelling *out) {
  bool doubling = strcmp(place->kind, "upsamplers") == 0;
  int layer = doubling ? facts->layers_per_block : place->index;
  if (place->level >= facts->levels) {
    return false;
  }
  spelling_add(out, "output_blocks.");
  add_number(out, place->level * (facts->layers_per_block + 1) + layer);
  if (!doubling) {
    return add_layer(out, place->kind, place->layer);
  }
  spelling_add(out, facts->attention_up[place->level] ? ".2.conv" : ".1.conv");
  return strcmp(place->layer, "conv") == 0;
}

/* Its parts are residual block, attention, residual block. */
static bool add_middle(const char *name, struct spelling *out) {
  static const struct word parts[] = {
      {"resnets.0.", "0."}, {"attentions.0.", "1."}, {"resnets.1.", "2."}, {0}};
  for (const struct word *part = parts; part->own != NULL; part++) {
    if (!starts_with(name, part->own)) {
      continue;
    }
    const char *layer = name + strlen(part->own);
    const struct word *word = find_word(of_resnets, layer);
    spelling_add(out, "middle_block.");
    spelling_add(out, part->other);
    spelling_add(out, word != NULL && name[0] == 'r' ? word->other : layer);
    return true;
  }
  return false;
}

bool spelling_original(const struct adapter_target *target, const struct module *module,
                       struct spelling *out) {
  const char *name = module->name;
  const struct word *end = find_word(ends, name);
  struct place place;
  if (end != NULL) {
    spelling_add(out, end->other);
    return true;
  }
  if (starts_with(name, "mid_block.")) {
    return add_middle(name + strlen("mid_block."), out);
  }
  if (starts_with(name, "down_blocks.")) {
    return read_place(name + strlen("down_blocks."), &place) && add_down(target->unet, &place, out);
  }
  return starts_with(name, "up_blocks.") && read_place(name + strlen("up_blocks."), &place) &&
         add_up(target->unet, &place, out);
}

/* ---- OpenCLIP ---- */

bool spelling_is_joined(const struct module *module) {
  return module->parts == 3 && ends_with(module->name, ".self_attn.q_proj");
}

bool spelling_open_clip(const struct adapter_target *target, const struct module *module,
                        struct spelling *out) {
  static const char layers[] = TEXT_PREFIX "encoder.layers.";
  static const struct word words[] = {{".self_attn.q_proj", ".attn.in_proj"},
                                      {".self_attn.out_proj", ".attn.out_proj"},
                                      {".mlp.fc1", ".mlp.c_fc"},
                                      {".mlp.fc2", ".mlp.c_proj"},
                                      {".layer_norm1", ".ln_1"},
                                      {".layer_norm2", ".ln_2"},
                                      {0}};
  (void)target;
  if (strcmp(module->name, TEXT_PREFIX "final_layer_norm") == 0) {
    spelling_add(out, "ln_final");
    return true;
  }
  const struct word *word = find_ending(words, module->name);
  if (word == NULL || !starts_with(module->name, layers)) {
    return false;
  }
  spelling_add(out, "transformer.resblocks.");
  add_with_ending(out, module->name + strlen(layers), word);
  return true;
}

/* ---- diffusers before PEFT ---- */

bool spelling_processor(const struct adapter_target *target, const struct module *module,
                        struct spelling *out) {
  static const struct word words[] = {{".to_q", ".processor.to_q_lora"},
                                      {".to_k", ".processor.to_k_lora"},
                                      {".to_v", ".processor.to_v_lora"},
                                      {".to_out.0", ".processor.to_out_lora"},
                                      {".self_attn.q_proj", ".self_attn.to_q_lora"},
                                      {".self_attn.k_proj", ".self_attn.to_k_lora"},
                                      {".self_attn.v_proj", ".self_attn.to_v_lora"},
                                      {".self_attn.out_proj", ".self_attn.to_out_lora"},
                                      {0}};
  (void)target;
  const struct word *word = find_ending(words, module->name);
  if (word == NULL) {
    return false;
  }
  add_with_ending(out, module->name, word);
  return true;
}
