/* adapter_names.c - a table of prefixes and ways to write, and a hash table of what they make. */
#include "worker/model/adapter_names.h"

#include <assert.h>
#include <string.h>

#include "base/hash.h"
#include "worker/model/adapter_spelling.h"

/* Which prefix goes with which way to write; underscored: dots become underscores. */
static const struct dialect {
  enum network network;
  const char *prefix;
  spelling_way *way;
  bool underscored;
} dialects[] = {
    {NETWORK_UNET, "lora_unet_", spelling_own, true},
    {NETWORK_UNET, "lora_unet_", spelling_original, true},
    {NETWORK_UNET, "lycoris_", spelling_own, true},
    {NETWORK_UNET, "unet.", spelling_own, false},
    {NETWORK_UNET, "unet.", spelling_processor, false},
    {NETWORK_UNET, "", spelling_own, false},
    {NETWORK_UNET, "", spelling_processor, false},
    {NETWORK_UNET, "base_model.model.", spelling_own, false},
    {NETWORK_UNET, "base_model.model.unet.", spelling_own, false},
    {NETWORK_UNET, "diffusion_model.", spelling_original, false},
    {NETWORK_TEXT, "lora_te_", spelling_own, true},
    {NETWORK_TEXT, "lora_te_", spelling_open_clip, true},
    {NETWORK_TEXT, "lora_te1_", spelling_own, true},
    {NETWORK_TEXT, "text_encoder.", spelling_own, false},
    {NETWORK_TEXT, "text_encoder.", spelling_bare, false},
    {NETWORK_TEXT, "text_encoder.", spelling_processor, false},
    {NETWORK_TEXT, "text_encoder.", spelling_open_clip, false},
    {NETWORK_TEXT, "base_model.model.text_encoder.", spelling_own, false},
    {NETWORK_TEXT, "base_model.model.", spelling_own, false},
    {NETWORK_TEXT, "", spelling_own, false},
    {NETWORK_TEXT, "clip_l.transformer.", spelling_own, false},
    {NETWORK_TEXT, "text_encoders.clip_l.transformer.", spelling_own, false},
    {NETWORK_TEXT_2, "lora_te2_", spelling_own, true},
    {NETWORK_TEXT_2, "lora_te2_", spelling_open_clip, true},
    {NETWORK_TEXT_2, "text_encoder_2.", spelling_own, false},
    {NETWORK_TEXT_2, "text_encoder_2.", spelling_bare, false},
    {NETWORK_TEXT_2, "text_encoder_2.", spelling_processor, false},
    {NETWORK_TEXT_2, "text_encoder_2.", spelling_open_clip, false},
    {NETWORK_TEXT_2, "base_model.model.text_encoder_2.", spelling_own, false},
    {NETWORK_TEXT_2, "clip_g.transformer.", spelling_own, false},
    {NETWORK_TEXT_2, "text_encoders.clip_g.transformer.", spelling_own, false},
};
enum { DIALECTS = sizeof dialects / sizeof *dialects };
#define NAMES_MAX 16 /* of one module: no network has more rows */

/* ---- one module's ---- */

static bool spell(const struct adapter_target *target, const struct module *module,
                  const struct dialect *dialect, struct spelling *out) {
  out->length = 0;
  out->cut = false;
  spelling_add(out, dialect->prefix);
  if (!dialect->way(target, module, out) || out->cut) {
    return false;
  }
  for (char *at = out->text; dialect->underscored && *at != '\0'; at++) {
    *at = *at == '.' ? '_' : *at;
  }
  return true;
}

enum status adapter_names_of(const struct adapter_target *target, int module,
                             const struct adapter_name_listener *listener) {
  const struct module *own = modules_at(target->modules, module);
  struct spelling spelling;
  for (int i = 0; i < DIALECTS; i++) {
    if (dialects[i].network != own->network || !spell(target, own, &dialects[i], &spelling)) {
      continue;
    }
    bool joined = dialects[i].way == spelling_open_clip && spelling_is_joined(own);
    struct adapter_name meaning = {module, joined ? 3 : 1};
    TRY(listener->named(listener->context, spelling.text, meaning));
  }
  return OK;
}

/* ---- all of them ---- */

struct slot {
  const char *name; /* NULL: free */
  struct adapter_name meaning;
};

struct adapter_names {
  struct arena *arena;
  struct slot *slot; /* a power of two of them, less than half in use */
  size_t slots, count;
};

/* The slot of that name, or the free one where it would be. */
static struct slot *slot_of(const struct adapter_names *names, const char *name, size_t length) {
  for (size_t i = hash_on(HASH_START, name, length);; i++) {
    struct slot *slot = &names->slot[i & (names->slots - 1)];
    if (slot->name == NULL ||
        (strncmp(slot->name, name, length) == 0 && slot->name[length] == '\0')) {
      return slot;
    }
  }
}

/* A name of two modules would mean neither: none of a model we know has one (a test looks). */
static enum status add_name(void *context, const char *name, struct adapter_name meaning) {
  struct adapter_names *names = context;
  struct slot *slot = slot_of(names, name, strlen(name));
  if (slot->name != NULL) {
    return OK;
  }
  assert(2 * names->count < names->slots);
  slot->name = arena_copy_text(names->arena, name, strlen(name));
  slot->meaning = meaning;
  names->count++;
  return slot->name != NULL ? OK : EXHAUSTED;
}

enum status adapter_names_open(const struct adapter_target *target, struct arena *arena,
                               struct adapter_names **out) {
  size_t modules = modules_count(target->modules), slots = 64;
  while (slots < 2 * modules * NAMES_MAX) {
    slots *= 2;
  }
  struct adapter_names *names = arena_take_zeroed(arena, sizeof *names);
  struct slot *slot = arena_take_zeroed(arena, slots * sizeof *slot);
  if (names == NULL || slot == NULL) {
    return EXHAUSTED;
  }
  *names = (struct adapter_names){.arena = arena, .slot = slot, .slots = slots};
  struct adapter_name_listener listener = {add_name, names};
  for (size_t i = 0; i < modules; i++) {
    TRY(adapter_names_of(target, (int)i, &listener));
  }
  *out = names;
  return OK;
}

const struct adapter_name *adapter_names_find(const struct adapter_names *names, const char *name,
                                              size_t length) {
  const struct slot *slot = slot_of(names, name, length);
  return slot->name != NULL ? &slot->meaning : NULL;
}
