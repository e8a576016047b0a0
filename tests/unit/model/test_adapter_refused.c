/* test_adapter_refused.c - adapters' files that are refused, and tensors that are skipped. */
#include <math.h>

#include "tests/unit/model/adapter_group.h"
#include "worker/model/adapter.h"

#define ATTENTION "mid_block.attentions.0.transformer_blocks.0.attn1"
#define KOHYA "lora_unet_mid_block_attentions_0_transformer_blocks_0_attn1"
#define C 64 /* of the middle block */

static void refused_with(struct made *made, const char *config, const char *reason) {
  struct adapter_report report;
  struct adapter *adapter = NULL;
  struct adapter_source source = made_source(made, NULL);
  source.config = config;
  assert_refused(adapter_open(tiny.model, &source, &adapter, &report), reason);
  assert_string_equal(fail_field_name(), "adapter");
  assert_null(adapter);
}

static void bad_files_are_refused(void **state) {
  (void)state;
  static const struct {
    const char *name[3];
    int64_t shape[3][4];
    const char *reason;
  } rows[] = {
      {{KOHYA "_to_k.lora_down.weight"}, {{3, C}}, "lora_up (lora_B) must be there"},
      {{KOHYA "_to_k.lora_down.weight", KOHYA "_to_k.lora_up.weight"},
       {{3, C}, {C, 4}},
       "it must be [4, 64]"},
      {{KOHYA "_to_k.lora_down.weight", KOHYA "_to_k.lora_up.weight"},
       {{3, 768}, {C, 3}},
       "of another model than"},
      {{KOHYA "_to_k.lora_down.weight", KOHYA "_to_k.lora_up.weight"},
       {{1025, C}, {C, 1025}},
       "has rank 1025, allowed are 1 to 1024"},
      {{KOHYA "_to_k.lora_down.weight", KOHYA "_to_k.lora_up.weight", KOHYA "_to_k.lokr_w1"},
       {{3, C}, {C, 3}, {2, 2}},
       "in two ways"},
      {{KOHYA "_to_k.lora_down.weight", "unet." ATTENTION ".to_k.lora_A.weight"},
       {{3, C}, {3, C}},
       "are one thing twice"},
      {{KOHYA "_to_k.lokr_w1", KOHYA "_to_k.lokr_w2"}, {{4, 4}, {16, 15}}, "do not make mid_block"},
      {{KOHYA "_to_k.dora_scale"}, {{C, 1}}, "something is missing"},
      {{KOHYA "_to_k.hada_w1_a"}, {{C, 2}}, "hada_w1_b"},
      {{KOHYA "_to_k.diff"}, {{C, C - 1}}, "it must be [64, 64]"},
      {{KOHYA "_to_k.alpha"}, {{2, 1}}, "must be one number"},
      {{"lora_unet_mid_block_attentions_0_norm.lora_down.weight"}, {{2, C}}, "is a norm"},
      {{"lora_te_transformer_resblocks_1_attn_in_proj.lokr_w1"}, {{2, 2}}, "not implemented"},
      {{"some.thing"}, {{1, 1}}, "none of its 1 tensors has a place"},
  };
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    struct made made;
    made_open(&made);
    for (int j = 0; j < 3 && rows[i].name[j] != NULL; j++) {
      made_add(&made, rows[i].name[j], 2, rows[i].shape[j]);
    }
    refused_with(&made, NULL, rows[i].reason);
    made_close(&made);
  }
}

static void bad_numbers_and_configurations_are_refused(void **state) {
  (void)state;
  struct made made;
  made_open(&made);
  made_add(&made, KOHYA "_to_k.lora_down.weight", TENSOR_SHAPE(3, C));
  made_add(&made, KOHYA "_to_k.lora_up.weight", TENSOR_SHAPE(C, 3));
  refused_with(&made, "{", "");
  refused_with(&made, "{\"lora_alpha\": \"8\"}", "lora_alpha of the configuration is not a number");
  refused_with(&made, "{\"alpha_pattern\": {\"to_.*\": 8}}", "is not the end of a layer's name");
  made_add_number(&made, KOHYA "_to_k.alpha", INFINITY);
  refused_with(&made, NULL, "alpha that is not a finite number");
  made_close(&made);
}

/* One value of 192 that is no number would spoil the whole picture. */
static void values_that_are_no_numbers_are_refused(void **state) {
  (void)state;
  static const float bad[] = {NAN, INFINITY, -INFINITY};
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
    struct made made;
    float values[C * 3] = {0};
    values[C * 3 - 1] = bad[i];
    made_open(&made);
    made_add(&made, KOHYA "_to_k.lora_down.weight", TENSOR_SHAPE(3, C));
    made_add_values(&made, KOHYA "_to_k.lora_up.weight", TENSOR_SHAPE(C, 3), values);
    refused_with(&made, NULL, "lora_up.weight\" has values that are no finite numbers");
    made_close(&made);
  }
}

static void scales_beyond_reason_are_refused(void **state) {
  (void)state;
  struct made made;
  made_open(&made);
  made_add(&made, KOHYA "_to_k.lora_down.weight", TENSOR_SHAPE(3, C));
  made_add(&made, KOHYA "_to_k.lora_up.weight", TENSOR_SHAPE(C, 3));
  made_add_number(&made, KOHYA "_to_k.alpha", -3e38f);
  refused_with(&made, NULL, "alpha -3e+38 at rank 3: the scale is allowed up to 1e+06");
  made_close(&made);
}

/* Each is held against each layer: a hundred thousand would take minutes. */
static void too_many_patterns_are_refused(void **state) {
  (void)state;
  struct made made;
  struct bytes config;
  made_open(&made);
  bytes_open(&config, MADE_BYTES_MAX);
  made_add(&made, KOHYA "_to_k.lora_down.weight", TENSOR_SHAPE(3, C));
  made_add(&made, KOHYA "_to_k.lora_up.weight", TENSOR_SHAPE(C, 3));
  assert_ok(bytes_printf(&config, "{\"alpha_pattern\":{\"to_q\":8"));
  for (int i = 1; i <= ADAPTER_PATTERNS_MAX; i++) {
    assert_ok(bytes_printf(&config, ",\"layer%d\":8", i));
  }
  assert_ok(bytes_printf(&config, "}}"));
  refused_with(&made, bytes_text(&config), "has 4097 entries, at most 4096 are allowed");
  bytes_close(&config);
  made_close(&made);
}

static void a_pickle_is_refused(void **state) {
  (void)state;
  static const uint8_t zip[] = {'P', 'K', 3, 4, 0, 0, 0, 0, 0, 0, 0, 0};
  struct adapter_source source = {.name = "style.pt", .data = zip, .bytes = sizeof zip};
  struct adapter_report report;
  struct adapter *adapter = NULL;
  assert_refused(adapter_open(tiny.model, &source, &adapter, &report), "pickle");
  assert_string_equal(fail_field_name(), "adapter");
}

static void what_has_no_place_is_told(void **state) {
  (void)state;
  struct adapter_report report;
  struct made made;
  made_open(&made);
  made_add(&made, KOHYA "_to_k.lora_down.weight", TENSOR_SHAPE(3, C));
  made_add(&made, KOHYA "_to_k.lora_up.weight", TENSOR_SHAPE(C, 3));
  made_add(&made, KOHYA "_to_k.oft_blocks", TENSOR_SHAPE(2, 2));
  made_add_number(&made, KOHYA "_to_q.alpha", 1);
  made_add(&made, "lora_te2_text_model_encoder_layers_0_mlp_fc1.lora_up.weight", TENSOR_SHAPE(2));
  struct adapter *adapter = NULL;
  struct adapter_source source = made_source(&made, NULL);
  assert_ok(adapter_open(tiny.model, &source, &adapter, &report));
  assert_int_equal(report.changed, 1);
  assert_int_equal(report.skipped, 3);
  assert_string_equal(report.first_skipped,
                      "lora_te2_text_model_encoder_layers_0_mlp_fc1.lora_up.weight");
  adapter_close(&adapter);
  made_close(&made);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(bad_files_are_refused),
      cmocka_unit_test(bad_numbers_and_configurations_are_refused),
      cmocka_unit_test(values_that_are_no_numbers_are_refused),
      cmocka_unit_test(scales_beyond_reason_are_refused),
      cmocka_unit_test(too_many_patterns_are_refused),
      cmocka_unit_test(a_pickle_is_refused),
      cmocka_unit_test(what_has_no_place_is_told),
  };
  return cmocka_run_group_tests(tests, open_ref, close_tiny);
}
