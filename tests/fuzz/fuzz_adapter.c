/* fuzz_adapter.c - any bytes as an adapter's file: refused, or changes whose parts fit the modules
 * they are of, so that they can be summed.
 *
 * Few guesses of a fuzzer are safetensors. So the bytes are tried as a file, and as a recipe: each
 * byte chooses the module, the part, and the shape of one tensor, which may be right or wrong.
 */
#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "base/bytes.h"
#include "worker/model/adapter_change.h"

#define ARENA_BYTES ((size_t)64 * 1024 * 1024)
#define TENSORS_MAX 24
#define SIDE 8
#define VALUES (3 * SIDE * SIDE * 9) /* of the largest change */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct module list[] = {
    {.name = "conv_in",
     .network = NETWORK_UNET,
     .kind = MODULE_CONV,
     .outputs = SIDE,
     .inputs = SIDE,
     .bias = true,
     .parts = 1},
    {.name = "mid_block.attentions.0.proj_in",
     .network = NETWORK_UNET,
     .kind = MODULE_LINEAR,
     .outputs = SIDE,
     .inputs = SIDE,
     .bias = true,
     .parts = 1},
    {.name = "conv_norm_out",
     .network = NETWORK_UNET,
     .kind = MODULE_NORM,
     .outputs = SIDE,
     .inputs = 1,
     .bias = true,
     .parts = 1},
    {.name = "text_model.encoder.layers.0.self_attn.q_proj",
     .network = NETWORK_TEXT,
     .kind = MODULE_LINEAR,
     .outputs = SIDE,
     .inputs = SIDE,
     .parts = 3},
    {.name = "text_model.encoder.layers.0.self_attn.k_proj",
     .network = NETWORK_TEXT,
     .kind = MODULE_LINEAR,
     .outputs = SIDE,
     .inputs = SIDE,
     .part = 1,
     .parts = 3},
    {.name = "text_model.encoder.layers.0.self_attn.v_proj",
     .network = NETWORK_TEXT,
     .kind = MODULE_LINEAR,
     .outputs = SIDE,
     .inputs = SIDE,
     .part = 2,
     .parts = 3},
};

/* What a fuzzer would have to guess. */
static const char *const stems[] = {"lora_unet_conv_in",
                                    "unet.mid_block.attentions.0.proj_in",
                                    "lora_unet_conv_norm_out",
                                    "lora_te_transformer_resblocks_0_attn_in_proj",
                                    "text_encoder.text_model.encoder.layers.0.self_attn.q_proj",
                                    "nobody"};
static const char *const endings[] = {
    ".alpha",     ".dora_scale", ".lora_down.weight", ".lora_up.weight", ".lora_mid.weight",
    ".hada_w1_a", ".hada_w1_b",  ".hada_w2_a",        ".hada_w2_b",      ".hada_t1",
    ".hada_t2",   ".lokr_w1",    ".lokr_w1_a",        ".lokr_w1_b",      ".lokr_w2",
    ".lokr_w2_a", ".lokr_w2_b",  ".lokr_t2",          ".diff",           ".diff_b"};
static const char *const shapes[] = {
    "",      "[8]",   "[24]",   "[2,8]",  "[8,2]",     "[24,2]",    "[8,8]",     "[2,72]",
    "[1,8]", "[8,1]", "[2,2]",  "[4,4]",  "[2,2,3,3]", "[2,8,3,3]", "[8,8,3,3]", "[8,2,1,1]",
    "[4,2]", "[2,4]", "[4,36]", "[24,8]", "[0,8]",     "[0]",       "[8,72]",    "[1]"};
#define COUNT(table) (sizeof(table) / sizeof *(table))

static size_t values_of(const char *shape) {
  size_t count = 1;
  for (const char *at = shape; *at != '\0'; at++) {
    if (*at >= '0' && *at <= '9') {
      size_t side = 0;
      for (; *at >= '0' && *at <= '9'; at++) {
        side = 10 * side + (size_t)(*at - '0');
      }
      count *= side;
    }
  }
  return count;
}

/* Three bytes a tensor. */
static bool write_recipe(const uint8_t *data, size_t size, struct bytes *out) {
  struct bytes header;
  size_t at = 0;
  bytes_open(&header, ARENA_BYTES);
  bool good = bytes_append_text(&header, "{") == OK;
  for (size_t i = 0; good && i + 3 <= size && i < 3 * TENSORS_MAX; i += 3) {
    const char *shape = shapes[data[i + 2] % COUNT(shapes)];
    size_t bytes = 4 * values_of(shape);
    good = bytes_printf(&header,
                        "%s\"%s%s\":{\"dtype\":\"F32\",\"shape\":%s,\"data_offsets\":[%zu,%zu]}",
                        i > 0 ? "," : "", stems[data[i] % COUNT(stems)],
                        endings[data[i + 1] % COUNT(endings)], shape[0] == '\0' ? "[]" : shape, at,
                        at + bytes) == OK;
    at += bytes;
  }
  good = good && bytes_append_text(&header, "}") == OK;
  uint8_t length[8] = {(uint8_t)header.length, (uint8_t)(header.length >> 8),
                       (uint8_t)(header.length >> 16)};
  good = good && bytes_append(out, length, 8) == OK &&
         bytes_append(out, header.data, header.length) == OK;
  for (size_t i = 0; good && i < at / 4; i++) {
    float value = (float)(data[i % size] % 16) / 8 - 1;
    good = bytes_append(out, &value, sizeof value) == OK;
  }
  bytes_close(&header);
  return good;
}

static void add_up(const struct adapter *adapter, const struct module_list *modules) {
  static float base[VALUES], delta[VALUES];
  for (int i = 0; i < adapter->count; i++) {
    const struct change *change = &adapter->change[i];
    const struct module *module = modules_at(modules, change->module);
    struct change_room room = {0}; /* of as much as it says that it takes */
    assert(change->rank >= 0 && change->rank <= ADAPTER_FILE_RANK_MAX);
    if (arena_open(NULL, change_scratch_bytes(change, module), &room.scratch) != OK) {
      return;
    }
    assert(change_add(change, module, 1, base, &room, delta) == OK);
    assert(change_add_bias(change, module, 1, room.scratch, delta) == OK);
    arena_close(&room.scratch);
  }
}

static void read_as(const uint8_t *data, size_t size, struct arena *arena) {
  struct unet_facts facts = {.levels = 1, .layers_per_block = 1};
  struct module_list *modules = NULL;
  struct adapter *adapter = NULL;
  struct adapter_report report;
  assert(modules_open(arena, &modules) == OK);
  for (size_t i = 0; i < COUNT(list); i++) {
    assert(modules_add(modules, &list[i]) == OK);
  }
  struct adapter_target target = {modules, &facts, "sd1"};
  struct adapter_source source = {.name = "file", .data = data, .bytes = size};
  if (adapter_read(&target, &source, &adapter, &report) == OK) {
    assert(report.changed == adapter->count && report.changed > 0 && report.skipped >= 0);
    add_up(adapter, modules);
    arena_close(&(struct arena *){adapter->arena});
  }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  struct arena *arena = NULL;
  struct bytes file;
  if (size == 0 || arena_open(NULL, ARENA_BYTES, &arena) != OK) {
    arena_close(&arena);
    return 0;
  }
  bytes_open(&file, ARENA_BYTES);
  read_as(data, size, arena);
  if (write_recipe(data, size, &file)) {
    read_as(file.data, file.length, arena);
  }
  bytes_close(&file);
  arena_close(&arena);
  return 0;
}
