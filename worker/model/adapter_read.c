/* adapter_read.c - an adapter's file: each tensor's name into a module and a part, parts into
 * changes. */
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "worker/model/adapter_change.h"
#include "worker/model/safetensors.h"

/* Names, the table of tensors and what is said of each module, beside the tensors themselves. */
#define TABLES_BYTES_MAX ((size_t)256 * 1024 * 1024)

#define REFUSE(...) fail_field(BAD_INPUT, "adapter", __VA_ARGS__)

/* How a tensor's name ends, and which part it is. Of two endings that fit, the first whose rest is
 * a name of a module counts. */
static const struct ending {
  const char *text;
  enum change_part part;
} endings[] = {
    {".lora_down.weight", PART_DOWN},
    {".lora_up.weight", PART_UP},
    {".lora_mid.weight", PART_MID},
    {".lora_linear_layer.down.weight", PART_DOWN},
    {".lora_linear_layer.up.weight", PART_UP},
    {".lora.down.weight", PART_DOWN},
    {".lora.up.weight", PART_UP},
    {".down.weight", PART_DOWN},
    {".up.weight", PART_UP},
    {".lora_A.weight", PART_DOWN},
    {".lora_B.weight", PART_UP},
    {".lora_A.default.weight", PART_DOWN},
    {".lora_B.default.weight", PART_UP},
    {".alpha", PART_ALPHA},
    {".dora_scale", PART_DORA},
    {".lora_magnitude_vector", PART_DORA},
    {".lora_magnitude_vector.weight", PART_DORA},
    {".lora_magnitude_vector.default.weight", PART_DORA},
    {".hada_w1_a", PART_HADA_W1_A},
    {".hada_w1_b", PART_HADA_W1_B},
    {".hada_w2_a", PART_HADA_W2_A},
    {".hada_w2_b", PART_HADA_W2_B},
    {".hada_t1", PART_HADA_T1},
    {".hada_t2", PART_HADA_T2},
    {".lokr_w1", PART_LOKR_W1},
    {".lokr_w1_a", PART_LOKR_W1_A},
    {".lokr_w1_b", PART_LOKR_W1_B},
    {".lokr_w2", PART_LOKR_W2},
    {".lokr_w2_a", PART_LOKR_W2_A},
    {".lokr_w2_b", PART_LOKR_W2_B},
    {".lokr_t2", PART_LOKR_T2},
    {".diff", PART_DIFF},
    {".diff_b", PART_DIFF_BIAS},
    {".w_norm", PART_DIFF},
    {".b_norm", PART_DIFF_BIAS},
};
enum { ENDINGS = sizeof endings / sizeof *endings };

#define WAYS 2 /* a module by its own name, and as the first of three in one matrix */

struct reading {
  const struct adapter_target *target;
  const struct adapter_source *source;
  struct arena *scratch;
  struct arena *keep;
  struct adapter_names *names;
  struct adapter_alphas *alphas;
  struct safetensors table;
  struct change_named *named;
  size_t count;
  int *at[WAYS]; /* of each module: its place in named, -1 for none */
  struct adapter_report report;
};

/* ---- tensors ---- */

/* The integers and long floats that an alpha may be. */
static bool read_number(const struct safetensors_entry *entry, const uint8_t *data, float *out) {
  int64_t whole = 0;
  int32_t small = 0;
  double real = 0;
  if (entry->end - entry->begin == sizeof whole && strcmp(entry->type->name, "I64") == 0) {
    memcpy(&whole, data, sizeof whole);
    *out = (float)whole;
    return true;
  }
  if (entry->end - entry->begin == sizeof small && strcmp(entry->type->name, "I32") == 0) {
    memcpy(&small, data, sizeof small);
    *out = (float)small;
    return true;
  }
  if (entry->end - entry->begin == sizeof real && strcmp(entry->type->name, "F64") == 0) {
    memcpy(&real, data, sizeof real);
    *out = (float)real;
    return true;
  }
  return false;
}

static enum status take_number(struct reading *reading, const struct safetensors_entry *entry,
                               float value, struct tensor *out) {
  float *kept = arena_take(reading->keep, sizeof *kept);
  if (kept == NULL) {
    return EXHAUSTED;
  }
  *kept = value;
  *out = (struct tensor){.data = kept, .element = ELEMENT_F32, .shape = {1, 1, 1, 1}};
  (void)entry;
  return OK;
}

/* A copy of its own, for the file is borrowed, and its tensors may lie at odd addresses. */
static enum status take_tensor(struct reading *reading, const struct safetensors_entry *entry,
                               enum change_part part, struct tensor *out) {
  const uint8_t *data = reading->table.data + entry->begin;
  float number = 0;
  if (part == PART_ALPHA && read_number(entry, data, &number)) {
    return take_number(reading, entry, number, out);
  }
  if (entry->type->element < 0) {
    return REFUSE("%s: \"%s\" is %s; F32, F16 and BF16 are implemented", reading->source->name,
                  entry->name, entry->type->name);
  }
  if (entry->rank > TENSOR_RANK_MAX || entry->begin == entry->end) {
    return REFUSE(
        "%s: \"%s\" has %d dimensions and %llu bytes; at most %d, and some bytes, are "
        "expected",
        reading->source->name, entry->name, entry->rank,
        (unsigned long long)(entry->end - entry->begin), TENSOR_RANK_MAX);
  }
  struct tensor tensor = {.data = arena_take(reading->keep, entry->end - entry->begin),
                          .element = (enum element)entry->type->element,
                          .rank = entry->rank,
                          .shape = {1, 1, 1, 1}};
  if (tensor.data == NULL) {
    return EXHAUSTED;
  }
  memcpy(tensor.shape, entry->shape, (size_t)entry->rank * sizeof *entry->shape);
  if (part == PART_ALPHA && tensor_count(&tensor) != 1) {
    return REFUSE("%s: \"%s\" must be one number", reading->source->name, entry->name);
  }
  memcpy(tensor.data, data, entry->end - entry->begin);
  if (part != PART_ALPHA && !elements_finite(tensor.element, tensor.data, tensor_count(&tensor))) {
    return REFUSE("%s: \"%s\" has values that are no finite numbers", reading->source->name,
                  entry->name);
  }
  *out = tensor;
  return OK;
}

/* ---- names ---- */

/* What is said of that name so far. */
static struct change_named *named_of(struct reading *reading, struct adapter_name name) {
  int *at = &reading->at[name.parts > 1][name.module];
  if (*at < 0) {
    *at = (int)reading->count++;
    reading->named[*at] = (struct change_named){.target = name};
  }
  return &reading->named[*at];
}

static void skip(struct reading *reading, const char *name) {
  if (reading->report.skipped++ == 0) {
    snprintf(reading->report.first_skipped, sizeof reading->report.first_skipped, "%s", name);
  }
}

/* NULL: the name is of no module, or its ending of no part. */
static const struct adapter_name *find_name(const struct reading *reading, const char *name,
                                            enum change_part *part) {
  size_t length = strlen(name);
  for (int i = 0; i < ENDINGS; i++) {
    size_t ending = strlen(endings[i].text);
    if (length <= ending || strcmp(name + length - ending, endings[i].text) != 0) {
      continue;
    }
    const struct adapter_name *found = adapter_names_find(reading->names, name, length - ending);
    if (found != NULL) {
      *part = endings[i].part;
      return found;
    }
  }
  return NULL;
}

static enum status read_entry(struct reading *reading, const struct safetensors_entry *entry) {
  enum change_part part = PART_ALPHA;
  const struct adapter_name *name = find_name(reading, entry->name, &part);
  if (name == NULL) {
    skip(reading, entry->name);
    return OK;
  }
  struct part_named *place = &named_of(reading, *name)->part[part];
  if (place->name != NULL) {
    return REFUSE("%s: \"%s\" and \"%s\" are one thing twice", reading->source->name, place->name,
                  entry->name);
  }
  TRY(take_tensor(reading, entry, part, &place->tensor));
  place->name = entry->name;
  return OK;
}

/* ---- changes ---- */

/* An alpha alone changes nothing. */
static bool is_alpha_alone(const struct change_named *named) {
  for (int i = PART_ALPHA + 1; i < PARTS; i++) {
    if (named->part[i].name != NULL) {
      return false;
    }
  }
  return true;
}

/* Those parts whose rows are rows of the result, cut to the rows of one of three modules. */
static void cut_rows(struct change *change, int index, int64_t outputs) {
  static const enum change_part cut[] = {PART_UP, PART_HADA_W1_A, PART_HADA_W2_A, PART_DIFF,
                                         PART_DIFF_BIAS};
  for (size_t i = 0; i < sizeof cut / sizeof *cut; i++) {
    struct tensor *tensor = &change->part[cut[i]];
    if (tensor->data != NULL) {
      *tensor = tensor_rows(tensor, index * outputs, outputs);
    }
  }
}

static enum status add_changes(const struct reading *reading, const struct change_named *named,
                               struct adapter *adapter) {
  const struct module *module = modules_at(reading->target->modules, named->target.module);
  struct change whole;
  TRY(change_check(reading->target, named, adapter_alphas_of(reading->alphas, module), &whole));
  for (int i = 0; i < named->target.parts; i++) {
    struct change *change = &adapter->change[adapter->count++];
    *change = whole;
    change->module += i;
    if (named->target.parts > 1) {
      cut_rows(change, i, module->outputs);
    }
  }
  return OK;
}

/* Two names of one module are two changes, whose order is that of their kinds. */
static int by_module(const void *a, const void *b) {
  const struct change *x = a, *y = b;
  return x->module != y->module ? (x->module < y->module ? -1 : 1)
                                : ((int)x->kind > (int)y->kind) - ((int)x->kind < (int)y->kind);
}

static enum status refuse_nothing(const struct reading *reading) {
  return REFUSE(
      "%s: none of its %zu tensors has a place in a model of family %s, the first is \"%s\"; "
      "expected are names such as lora_unet_..., lora_te_... (lora_te1_, lora_te2_), unet...., "
      "text_encoder.... (text_encoder_2.) or base_model.model.... of LoRA, LoCon, LoHa, LoKr, DoRA",
      reading->source->name, reading->table.count, reading->target->family,
      reading->report.first_skipped);
}

static enum status add_all(struct reading *reading, struct adapter *adapter) {
  adapter->change = arena_take(reading->keep, (3 * reading->count + 1) * sizeof *adapter->change);
  if (adapter->change == NULL) {
    return EXHAUSTED;
  }
  for (size_t i = 0; i < reading->count; i++) {
    if (is_alpha_alone(&reading->named[i])) {
      skip(reading, reading->named[i].part[PART_ALPHA].name);
    } else {
      TRY(add_changes(reading, &reading->named[i], adapter));
    }
  }
  qsort(adapter->change, (size_t)adapter->count, sizeof *adapter->change, by_module);
  reading->report.changed = adapter->count;
  return adapter->count > 0 ? OK : refuse_nothing(reading);
}

/* ---- the file ---- */

static enum status take_tables(struct reading *reading) {
  size_t modules = modules_count(reading->target->modules);
  size_t most = reading->table.count < WAYS * modules ? reading->table.count : WAYS * modules;
  reading->named = arena_take(reading->scratch, (most + 1) * sizeof *reading->named);
  for (int way = 0; way < WAYS; way++) {
    reading->at[way] = arena_take(reading->scratch, (modules + 1) * sizeof(int));
    if (reading->at[way] == NULL) {
      return EXHAUSTED;
    }
    memset(reading->at[way], -1, (modules + 1) * sizeof(int));
  }
  return reading->named != NULL ? OK : EXHAUSTED;
}

static enum status take_digest(const struct adapter_source *source, uint8_t *out) {
  if (source->sha256 != NULL) {
    memcpy(out, source->sha256, ADAPTER_DIGEST_BYTES);
  } else if (EVP_Digest(source->data, source->bytes, out, NULL, EVP_sha256(), NULL) != 1) {
    return fail(BROKEN, "libcrypto cannot compute a sha256");
  }
  return OK;
}

static enum status read_file(struct reading *reading, struct adapter *adapter) {
  const struct adapter_source *source = reading->source;
  enum status status = safetensors_read(source->name, source->data, source->bytes, reading->scratch,
                                        &reading->table);
  if (status != OK) {
    return status == BAD_INPUT ? REFUSE("%s", fail_reason()) : status;
  }
  TRY(take_digest(source, adapter->digest));
  TRY(adapter_names_open(reading->target, reading->scratch, &reading->names));
  TRY(adapter_alphas_open(source, &reading->alphas));
  TRY(take_tables(reading));
  for (size_t i = 0; i < reading->table.count; i++) {
    TRY(read_entry(reading, &reading->table.entry[i]));
  }
  return add_all(reading, adapter);
}

static enum status read_into(struct arena *keep, struct reading *reading, struct adapter **out) {
  struct adapter *adapter = arena_take_zeroed(keep, sizeof *adapter);
  if (adapter == NULL) {
    return EXHAUSTED;
  }
  adapter->arena = keep;
  TRY(arena_open(NULL, TABLES_BYTES_MAX, &reading->scratch));
  enum status status = read_file(reading, adapter);
  adapter_alphas_close(&reading->alphas);
  arena_close(&reading->scratch);
  TRY(status);
  *out = adapter;
  return OK;
}

enum status adapter_read(const struct adapter_target *target, const struct adapter_source *source,
                         struct adapter **out, struct adapter_report *report) {
  struct arena *keep = NULL;
  struct adapter *adapter = NULL;
  TRY(arena_open(NULL, 2 * source->bytes + TABLES_BYTES_MAX, &keep));
  struct reading reading = {.target = target, .source = source, .keep = keep};
  enum status status = read_into(keep, &reading, &adapter);
  if (status != OK) {
    arena_close(&keep); /* the adapter lies in it */
    return status;
  }
  *report = reading.report;
  *out = adapter;
  return OK;
}
