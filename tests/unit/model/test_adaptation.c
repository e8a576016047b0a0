/* test_adaptation.c - what adapters do to a model: as diffusers and PEFT compute it
 * (tests/model/make_adapter_goldens.py), in both ways alike, and nothing when they are gone. */
#include "worker/model/adaptation.h"

#include <math.h>

#include "tests/cases/device_rows.h"
#include "tests/unit/model/adapter_files.h"

#define PROMPT "a red house by the lake at night"
#define NEGATIVE "snow and rain"
#define ROWS 2
#define MATES 5 /* four with adapters, one without */
#define SIDE 8
#define CHANNELS 4
#define ROW_VALUES (SIDE * SIDE * CHANNELS)
#define VALUES (ROWS * ROW_VALUES)

static struct tiny tiny;
static struct bytes inputs_file, goldens_file;
static struct arena *tables;
static struct safetensors inputs, goldens;

static const float *values_of(const struct safetensors *table, const char *name) {
  const struct safetensors_entry *entry = safetensors_find(table, name);
  if (entry == NULL) {
    fail_msg("no golden %s", name);
  }
  return (const float *)(const void *)(table->data + entry->begin);
}

/* ---- a call under adapters ---- */

struct wanted {
  const char *name;
  float weight;
};
#define WANTED_MAX 4

/* An adaptation of these fixtures, made in this way; the files may go afterwards. */
static struct adaptation *adapt(const struct wanted *wanted, enum adaptation_way way) {
  struct adapter *adapters[WANTED_MAX] = {NULL};
  struct adapter_use uses[WANTED_MAX];
  struct adaptation *adaptation = NULL;
  size_t count = 0;
  for (; count < WANTED_MAX && wanted[count].name != NULL; count++) {
    struct adapter_report report;
    char name[64];
    snprintf(name, sizeof name, "lora/%s", wanted[count].name);
    adapters[count] = fixture_adapter(tiny.model, name, &report);
    uses[count] = (struct adapter_use){adapters[count], wanted[count].weight, wanted[count].weight};
  }
  size_t before = device_memory_used(tiny.device);
  assert_ok(adaptation_open_as(tiny.model, uses, count, way, &adaptation));
  if (way == ADAPTATION_FASTER) {
    size_t taken = device_memory_used(tiny.device) - before;
    assert_true(taken <= adaptation_bytes(tiny.model, uses, count));
  }
  for (size_t i = 0; i < count; i++) {
    adapter_close(&adapters[i]);
  }
  return adaptation;
}

struct result {
  float output[MATES * ROW_VALUES]; /* [B, H, W, C] */
  float embedding[77 * 32];
};

/* The inputs of the goldens: row i is that of number (first + i) % 2. */
static void put_input(int first, int rows, struct tensor *input) {
  static float planes[MATES * ROW_VALUES];
  const float *from = values_of(&inputs, "unet.input");
  for (int i = 0; i < rows; i++) {
    memcpy(planes + i * ROW_VALUES, from + (first + i) % ROWS * ROW_VALUES,
           ROW_VALUES * sizeof *planes);
  }
  assert_ok(tensor_take(tiny.keep, device_element(tiny.device),
                        TENSOR_SHAPE(rows, SIDE, SIDE, CHANNELS), input));
  tiny_put(&tiny, planes, input);
}

/* One U-Net call of rows first, first + 1, ..., each with an adaptation of its own (NULL: none). In
 * a call all are beside the layers, or one is in their place. */
static void predict(struct adaptation *const *adaptations, int first, int rows,
                    struct result *out) {
  static const char *const prompts[ROWS] = {PROMPT, NEGATIVE};
  static const float timesteps[ROWS] = {981, 40};
  struct batch_row table[MATES];
  struct predict call = {0};
  struct conditioning prompt[MATES];
  memset(table, 0, sizeof table);
  arena_drop(tiny.keep);
  for (int i = 0; i < rows; i++) {
    struct condition condition = {.prompt = prompts[(first + i) % ROWS],
                                  .adaptation = adaptations[i]};
    assert_ok(model_condition(tiny.model, tiny.keep, tiny.turn, &condition, &prompt[i], NULL));
    table[i].timestep = timesteps[(first + i) % ROWS];
    model_context(&prompt[i], &table[i]);
    if (adaptations[i] != NULL) {
      table[i].adapters = adaptation_table(adaptations[i], NETWORK_UNET);
      call.merged = adaptation_merged(adaptations[i]);
      call.adapted = call.adapted || table[i].adapters != NULL;
    }
  }
  assert_ok(device_rows(tiny.device, tiny.keep, table, (size_t)rows, &call.rows));
  put_input(first, rows, &call.input);
  assert_ok(tensor_take(tiny.keep, ELEMENT_F32, TENSOR_SHAPE(rows, SIDE, SIDE, CHANNELS),
                        &call.prediction));
  assert_ok(model_predict(tiny.model, tiny.turn, &call));
  assert_int_equal(arena_used(tiny.turn), 0);
  assert_ok(device_get(tiny.device, &call.prediction, out->output,
                       (size_t)rows * ROW_VALUES * sizeof(float)));
  if (device_element(tiny.device) == ELEMENT_F32) {
    assert_ok(device_get(tiny.device, &prompt[0].embedding, out->embedding, sizeof out->embedding));
  }
}

static void predict_under(struct adaptation *adaptation, struct result *out) {
  struct adaptation *all[ROWS] = {adaptation, adaptation};
  predict(all, 0, ROWS, out);
}

static double difference(const struct result *a, const struct result *b) {
  double worst = 0, largest = 0;
  for (int i = 0; i < VALUES; i++) {
    worst = fmax(worst, fabs((double)a->output[i] - (double)b->output[i]));
    largest = fmax(largest, fabs((double)a->output[i]));
  }
  return worst / largest;
}

/* ---- against others ---- */

static void assert_golden(const char *name, const char *part, const float *got,
                          const int64_t *nhwc) {
  char whole[96];
  snprintf(whole, sizeof whole, "%s.%s", name, part);
  double worst = tiny_difference(got, values_of(&goldens, whole), nhwc);
  if (worst > 1e-4) {
    fail_msg("%s differs by %.2e relative", whole, worst);
  }
}

static void as_diffusers_and_peft_compute(void **state) {
  (void)state;
  static const struct {
    const char *name;
    struct wanted wanted[WANTED_MAX];
  } rows[] = {
      {"kohya", {{"kohya", 1}}},
      {"diffusers", {{"diffusers", 1}}},
      {"peft", {{"peft", 1}}},
      {"locon", {{"locon", 1}}},
      {"half", {{"kohya", 0.5f}}},
      {"minus", {{"kohya", -1}}},
      {"two", {{"kohya", 0.75f}, {"locon", 0.5f}}},
      {"dora", {{"dora", 1}}},
      {"loha", {{"loha", 1}}},
      {"lokr", {{"lokr", 1}}},
      {"tucker", {{"tucker", 1}}},
      {"full", {{"full", 1}}},
  };
  static struct result got;
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    for (int way = ADAPTATION_FASTER; way <= ADAPTATION_MERGED; way += ADAPTATION_MERGED) {
      struct adaptation *adaptation = adapt(rows[i].wanted, (enum adaptation_way)way);
      predict_under(adaptation, &got);
      assert_golden(rows[i].name, "output", got.output, (int64_t[]){ROWS, SIDE, SIDE, CHANNELS});
      assert_golden(rows[i].name, "embedding", got.embedding, (int64_t[]){1, 1, 77 * 32, 1});
      adaptation_close(&adaptation);
    }
  }
}

/* ---- properties, on every device ---- */

static const struct wanted both[WANTED_MAX] = {{"kohya", 0.8f}, {"peft", -0.3f}};

/* Beside the layers or in their place: the same up to rounding. */
static void both_ways_agree(void **state) {
  (void)state;
  static struct result beside, merged, plain;
  double bound = device_element(tiny.device) == ELEMENT_F32 ? 1e-3 : 4e-2;
  predict_under(NULL, &plain);
  struct adaptation *adaptation = adapt(both, ADAPTATION_BESIDE);
  assert_null(adaptation_merged(adaptation));
  predict_under(adaptation, &beside);
  adaptation_close(&adaptation);
  adaptation = adapt(both, ADAPTATION_MERGED);
  assert_non_null(adaptation_merged(adaptation));
  assert_null(adaptation_table(adaptation, NETWORK_UNET));
  predict_under(adaptation, &merged);
  adaptation_close(&adaptation);
  assert_true(difference(&beside, &merged) < bound);
  assert_true(difference(&plain, &merged) > 10 * bound || bound > 1e-3);
}

static void weight_0_is_the_model_itself(void **state) {
  (void)state;
  static struct result plain, got;
  static const struct wanted none[WANTED_MAX] = {{"kohya", 0}, {"loha", -0.0f}};
  predict_under(NULL, &plain);
  for (int way = ADAPTATION_FASTER; way <= ADAPTATION_MERGED; way++) {
    struct adaptation *adaptation = adapt(none, (enum adaptation_way)way);
    assert_false(adaptation_changes(adaptation, NETWORK_UNET));
    predict_under(adaptation, &got);
    assert_memory_equal(&got, &plain, sizeof got);
    adaptation_close(&adaptation);
  }
}

/* What is changed beside a layer must be added before the layer's sum is bent, which the time
 * embedding's products do themselves: such an adapter gets weights of its own. And a change of v
 * alone, in the middle of three side by side, is one. */
static void where_a_change_may_run_beside(void **state) {
  (void)state;
  static const struct {
    const char *name;
    int64_t outputs, inputs;
    bool beside;
  } rows[] = {{"unet.time_embedding.linear_1", 128, 32, false},
              {"unet.mid_block.attentions.0.transformer_blocks.0.attn2.to_v", 64, 32, true},
              {"text_encoder.text_model.encoder.layers.0.self_attn.k_proj", 32, 32, true}};
  static struct result plain, got;
  predict_under(NULL, &plain);
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    char down[128], up[128];
    struct made made;
    struct adapter_report report;
    struct adapter *adapter = NULL;
    struct adaptation *adaptation = NULL;
    snprintf(down, sizeof down, "%s.lora_A.weight", rows[i].name);
    snprintf(up, sizeof up, "%s.lora_B.weight", rows[i].name);
    made_open(&made);
    made_add(&made, down, TENSOR_SHAPE(2, rows[i].inputs));
    made_add(&made, up, TENSOR_SHAPE(rows[i].outputs, 2));
    struct adapter_source source = made_source(&made, NULL);
    assert_ok(adapter_open(tiny.model, &source, &adapter, &report));
    struct adapter_use use = {adapter, 1, 1};
    assert_ok(adaptation_open(tiny.model, &use, 1, &adaptation));
    assert_int_equal(adaptation_merged(adaptation) == NULL, rows[i].beside);
    predict_under(adaptation, &got);
    assert_memory_not_equal(got.output, plain.output, sizeof(float) * VALUES);
    adaptation_close(&adaptation);
    adapter_close(&adapter);
    made_close(&made);
  }
}

/* Nothing was written to the model: it is what it was before there were adapters. */
static void the_model_is_what_it_was(void **state) {
  (void)state;
  static struct result before, after, under;
  static const struct wanted all[WANTED_MAX] = {{"dora", 1}, {"full", 1}, {"locon", 1}};
  predict_under(NULL, &before);
  size_t bytes = device_memory_used(tiny.device);
  for (int way = ADAPTATION_BESIDE; way <= ADAPTATION_MERGED; way++) {
    struct adaptation *adaptation =
        adapt(way == ADAPTATION_MERGED ? all : both, (enum adaptation_way)way);
    predict_under(adaptation, &under);
    predict_under(NULL, &after);
    assert_memory_equal(&after, &before, sizeof after);
    assert_memory_not_equal(&under.output, &before.output, sizeof before.output);
    adaptation_close(&adaptation);
  }
  predict_under(NULL, &after);
  assert_memory_equal(&after, &before, sizeof after);
  assert_int_equal(device_memory_used(tiny.device), bytes);
}

static void their_order_does_not_matter(void **state) {
  (void)state;
  static const struct wanted turned[WANTED_MAX] = {{"peft", -0.3f}, {"kohya", 0.8f}};
  static struct result one, other;
  for (int way = ADAPTATION_BESIDE; way <= ADAPTATION_MERGED; way++) {
    struct adaptation *a = adapt(both, (enum adaptation_way)way);
    struct adaptation *b = adapt(turned, (enum adaptation_way)way);
    predict_under(a, &one);
    predict_under(b, &other);
    assert_memory_equal(&one, &other, sizeof one);
    assert_memory_equal(adaptation_digest(a), adaptation_digest(b), ADAPTER_DIGEST_BYTES);
    adaptation_close(&a);
    adaptation_close(&b);
  }
}

static void digests_tell_weights_apart(void **state) {
  (void)state;
  static const struct wanted rows[][WANTED_MAX] = {
      {{"kohya", 1}}, {{"kohya", 0.5f}}, {{"peft", 1}}, {{"kohya", 1}, {"peft", 1}}};
  struct adaptation *adaptation[4];
  for (int i = 0; i < 4; i++) {
    adaptation[i] = adapt(rows[i], ADAPTATION_FASTER);
    for (int j = 0; j < i; j++) {
      assert_memory_not_equal(adaptation_digest(adaptation[i]), adaptation_digest(adaptation[j]),
                              ADAPTER_DIGEST_BYTES);
    }
  }
  for (int i = 0; i < 4; i++) {
    adaptation_close(&adaptation[i]);
  }
}

/* Rows that share a call, each with adapters of its own or none, are what they are alone, bit for
 * bit; and so is one that has none. */
static void mates_with_other_adapters_change_nothing(void **state) {
  (void)state;
  static const struct wanted wanted[MATES][WANTED_MAX] = {
      {{"kohya", 1}},
      {{"peft", -0.5f}},
      {{NULL, 0}},
      {{"diffusers", 2}},
      {{"kohya", 0.25f}, {"diffusers", 0.5f}, {"peft", 1}}};
  static struct result together, alone;
  struct adaptation *adaptations[MATES] = {NULL};
  for (int i = 0; i < MATES; i++) {
    adaptations[i] = wanted[i][0].name != NULL ? adapt(wanted[i], ADAPTATION_BESIDE) : NULL;
  }
  predict(adaptations, 0, MATES, &together);
  for (int i = 0; i < MATES; i++) {
    predict(&adaptations[i], i, 1, &alone);
    assert_memory_equal(together.output + i * ROW_VALUES, alone.output,
                        ROW_VALUES * sizeof *alone.output);
  }
  for (int i = 0; i < MATES; i++) {
    adaptation_close(&adaptations[i]);
  }
}

/* ---- what cannot be had ---- */

static void bad_weights_and_too_many_are_refused(void **state) {
  (void)state;
  struct adapter_report report;
  struct adapter *adapter = fixture_adapter(tiny.model, "lora/kohya", &report);
  struct adaptation *adaptation = NULL;
  static const float bad[] = {NAN, INFINITY, 100.5f, -1e9f};
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
    struct adapter_use use = {adapter, i % 2 == 0 ? bad[i] : 1, i % 2 == 0 ? 1 : bad[i]};
    assert_refused(adaptation_open(tiny.model, &use, 1, &adaptation), "an adapter's weight is");
  }
  struct adapter_use many[ADAPTERS_MAX + 1];
  for (size_t i = 0; i < ADAPTERS_MAX + 1; i++) {
    many[i] = (struct adapter_use){adapter, 1, 1};
  }
  assert_refused(adaptation_open(tiny.model, many, ADAPTERS_MAX + 1, &adaptation),
                 "at most 16 are allowed");
  assert_string_equal(fail_field_name(), "adapter");
  adapter_close(&adapter);
}

/* ---- devices ---- */

/* Each value is a number, and so is the weight; their product is none, whichever way it goes. */
static void sums_that_are_no_numbers_are_refused(void **state) {
  (void)state;
  static const enum adaptation_way ways[] = {ADAPTATION_BESIDE, ADAPTATION_MERGED};
  static const char layer[] = "lora_unet_mid_block_attentions_0_transformer_blocks_0_attn1_to_k";
  enum { WIDTH = 64 };
  float downs[WIDTH], ups[WIDTH];
  char names[2][128];
  struct made made;
  struct adapter_report report;
  struct adapter *adapter = NULL;
  for (int i = 0; i < WIDTH; i++) {
    downs[i] = 1;
    ups[i] = 1e37f;
  }
  made_open(&made);
  snprintf(names[0], sizeof names[0], "%s.lora_down.weight", layer);
  snprintf(names[1], sizeof names[1], "%s.lora_up.weight", layer);
  made_add_values(&made, names[0], TENSOR_SHAPE(1, WIDTH), downs);
  made_add_values(&made, names[1], TENSOR_SHAPE(WIDTH, 1), ups);
  struct adapter_source source = made_source(&made, NULL);
  assert_ok(adapter_open(tiny.model, &source, &adapter, &report));
  for (int i = 0; i < 2; i++) {
    struct adapter_use use = {adapter, 100, 100};
    struct adaptation *adaptation = NULL;
    size_t before = device_memory_used(tiny.device);
    assert_refused(adaptation_open_as(tiny.model, &use, 1, ways[i], &adaptation), "too large");
    assert_string_equal(fail_field_name(), "adapter");
    assert_int_equal(device_memory_used(tiny.device), before);
    use.weight = 1;
    assert_ok(adaptation_open_as(tiny.model, &use, 1, ways[i], &adaptation));
    adaptation_close(&adaptation);
  }
  adapter_close(&adapter);
  made_close(&made);
}

static void read_table(const char *path, struct bytes *file, struct safetensors *out) {
  bytes_open(file, TINY_GOLDENS_BYTES_MAX);
  assert_ok(bytes_read_file(file, path));
  assert_ok(safetensors_read(path, file->data, file->length, tables, out));
}

static int open_on(const char *device) {
  assert_ok(arena_open(NULL, TINY_ARENA_BYTES, &tables));
  read_table(TINY_GOLDENS "/tiny.safetensors", &inputs_file, &inputs);
  read_table(TINY_GOLDENS "/adapters.safetensors", &goldens_file, &goldens);
  tiny_open(&tiny, device, "tiny-eps");
  return 0;
}
static int open_ref(void **state) {
  (void)state;
  return open_on("ref");
}
static int open_cpu(void **state) {
  (void)state;
  return open_on("cpu");
}
static int close_tiny(void **state) {
  (void)state;
  tiny_close(&tiny);
  bytes_close(&inputs_file);
  bytes_close(&goldens_file);
  arena_close(&tables);
  return 0;
}

int main(void) {
  const struct CMUnitTest on_ref[] = {
      cmocka_unit_test(as_diffusers_and_peft_compute),
      cmocka_unit_test(both_ways_agree),
      cmocka_unit_test(sums_that_are_no_numbers_are_refused),
      cmocka_unit_test(weight_0_is_the_model_itself),
      cmocka_unit_test(where_a_change_may_run_beside),
      cmocka_unit_test(the_model_is_what_it_was),
      cmocka_unit_test(their_order_does_not_matter),
      cmocka_unit_test(mates_with_other_adapters_change_nothing),
      cmocka_unit_test(digests_tell_weights_apart),
      cmocka_unit_test(bad_weights_and_too_many_are_refused),
  };
  const struct CMUnitTest on_cpu[] = {
      cmocka_unit_test(both_ways_agree),
      cmocka_unit_test(weight_0_is_the_model_itself),
      cmocka_unit_test(where_a_change_may_run_beside),
      cmocka_unit_test(the_model_is_what_it_was),
      cmocka_unit_test(their_order_does_not_matter),
      cmocka_unit_test(mates_with_other_adapters_change_nothing),
  };
  return cmocka_run_group_tests(on_ref, open_ref, close_tiny) +
         cmocka_run_group_tests(on_cpu, open_cpu, close_tiny);
}
