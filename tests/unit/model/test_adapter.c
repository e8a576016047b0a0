/* test_adapter.c - adapters' files in every dialect and kind: what they change, and by how much. */
#include "worker/model/adapter.h"

#include <math.h>

#include "tests/unit/model/adapter_group.h"

#define ATTENTION "mid_block.attentions.0.transformer_blocks.0.attn1"
#define KOHYA "lora_unet_mid_block_attentions_0_transformer_blocks_0_attn1"
#define C 64 /* of the middle block */
#define VALUES_MAX (C * C * 9)

static const struct module *module_of(const struct change *change) {
  return modules_at(model_modules(tiny.model), change->module);
}

/* The change of the module of that name, which must be the only one of it. */
static const struct change *change_of(const struct adapter *adapter, const char *name) {
  const struct change *found = NULL;
  for (int i = 0; i < adapter->count; i++) {
    if (strcmp(module_of(&adapter->change[i])->name, name) == 0) {
      assert_null(found);
      found = &adapter->change[i];
    }
  }
  assert_non_null(found);
  return found;
}

static void delta_of(const struct change *change, const float *base, float *delta) {
  struct arena *scratch = NULL;
  assert_ok(arena_open(NULL, change_scratch_bytes(change, module_of(change)), &scratch));
  const struct change_room room = {.scratch = scratch};
  memset(delta, 0, VALUES_MAX * sizeof *delta);
  assert_ok(change_add(change, module_of(change), 1, base, &room, delta));
  arena_close(&scratch);
}

static struct adapter *open_made(struct made *made, struct adapter_report *report) {
  struct adapter *adapter = NULL;
  struct adapter_source source = made_source(made, NULL);
  assert_ok(adapter_open(tiny.model, &source, &adapter, report));
  return adapter;
}

static void assert_near(const float *got, const double *want, int64_t count) {
  for (int64_t i = 0; i < count; i++) {
    if (fabs(got[i] - want[i]) > 1e-5 * (1 + fabs(want[i]))) {
      fail_msg("value %lld is %g, expected %g", (long long)i, (double)got[i], want[i]);
    }
  }
}

/* ---- dialects ---- */

static void every_dialect_is_read_whole(void **state) {
  (void)state;
  static const struct {
    const char *name;
    int changed;
  } rows[] = {{"lora/kohya", 11}, {"lora/peft", 11},  {"lora/diffusers", 9},
              {"lora/locon", 11}, {"lora/tucker", 3}, {"lora/loha", 11},
              {"lora/lokr", 11},  {"lora/dora", 11},  {"lora/full", 4}};
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    struct adapter_report report;
    struct adapter *adapter = fixture_adapter(tiny.model, rows[i].name, &report);
    assert_int_equal(report.changed, rows[i].changed);
    assert_int_equal(report.skipped, 0);
    assert_string_equal(report.first_skipped, "");
    assert_true(adapter_bytes(adapter) > 0);
    adapter_close(&adapter);
  }
}

/* The changes of one file are those of the other, bit for bit. */
static void assert_same_changes(const struct adapter *adapter, const struct adapter *other) {
  static float want[VALUES_MAX], got[VALUES_MAX];
  for (int i = 0; i < adapter->count; i++) {
    const struct change *change = &adapter->change[i];
    const struct change *same = NULL;
    for (int j = 0; j < other->count; j++) {
      same = other->change[j].module == change->module ? &other->change[j] : same;
    }
    assert_non_null(same);
    delta_of(change, NULL, got);
    delta_of(same, NULL, want);
    assert_memory_equal(got, want, sizeof got);
  }
}

static void dialects_agree(void **state) {
  (void)state;
  struct adapter_report report;
  struct adapter *kohya = fixture_adapter(tiny.model, "lora/kohya", &report);
  static const char *const others[] = {"lora/peft", "lora/diffusers"};
  for (size_t other = 0; other < 2; other++) {
    struct adapter *adapter = fixture_adapter(tiny.model, others[other], &report);
    assert_same_changes(adapter, kohya);
    adapter_close(&adapter);
  }
  adapter_close(&kohya);
}

/* XL: two text encoders, and kohya's names are those of the original code. */
static void dialects_of_xl_agree(void **state) {
  (void)state;
  struct tiny kept = tiny;
  struct adapter_report report;
  tiny_open(&tiny, "ref", "tiny-xl");
  struct adapter *kohya = fixture_adapter(tiny.model, "lora/kohya-xl", &report);
  assert_int_equal(report.changed, 11);
  assert_int_equal(report.skipped, 0);
  struct adapter *peft = fixture_adapter(tiny.model, "lora/peft-xl", &report);
  assert_int_equal(report.changed, 11);
  assert_int_equal(report.skipped, 0);
  assert_same_changes(kohya, peft);
  adapter_close(&kohya);
  adapter_close(&peft);
  tiny_close(&tiny);
  tiny = kept;
}

/* ---- names ---- */

struct collected {
  const char *wanted;
  bool found;
};
static enum status note_name(void *context, const char *name, struct adapter_name meaning) {
  struct collected *collected = context;
  (void)meaning;
  collected->found = collected->found || strcmp(name, collected->wanted) == 0;
  return OK;
}

static void names_of_the_original_code(void **state) {
  (void)state;
  static const struct {
    const char *own, *other;
  } rows[] = {
      {"conv_in", "lora_unet_input_blocks_0_0"},
      {"time_embedding.linear_2", "lora_unet_time_embed_2"},
      {"down_blocks.0.resnets.0.conv2", "lora_unet_input_blocks_1_0_out_layers_3"},
      {"down_blocks.0.attentions.0.proj_in", "lora_unet_input_blocks_1_1_proj_in"},
      {"down_blocks.0.downsamplers.0.conv", "lora_unet_input_blocks_2_0_op"},
      {"down_blocks.1.resnets.0.conv_shortcut", "lora_unet_input_blocks_3_0_skip_connection"},
      {"mid_block.resnets.1.time_emb_proj", "lora_unet_middle_block_2_emb_layers_1"},
      {"mid_block.attentions.0.norm", "lora_unet_middle_block_1_norm"},
      {"up_blocks.0.upsamplers.0.conv", "lora_unet_output_blocks_1_1_conv"},
      {"up_blocks.1.attentions.1.proj_out", "lora_unet_output_blocks_3_1_proj_out"},
      {"up_blocks.1.resnets.0.norm1", "diffusion_model.output_blocks.2.0.in_layers.0"},
      {"conv_out", "diffusion_model.out.2"},
      {ATTENTION ".to_out.0",
       "unet."
       "mid_block.attentions.0.transformer_blocks.0.attn1.processor."
       "to_out_lora"},
      {ATTENTION ".to_q", "base_model.model." ATTENTION ".to_q"},
  };
  struct adapter_target target = {model_modules(tiny.model), &model_family(tiny.model)->unet, ""};
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    struct collected collected = {rows[i].other, false};
    struct adapter_name_listener listener = {note_name, &collected};
    int module = modules_find(target.modules, NETWORK_UNET, rows[i].own);
    assert_true(module >= 0);
    assert_ok(adapter_names_of(&target, module, &listener));
    if (!collected.found) {
      fail_msg("%s is not called %s", rows[i].own, rows[i].other);
    }
  }
}

static enum status find_itself(void *context, const char *name, struct adapter_name meaning) {
  const struct adapter_names *names = context;
  const struct adapter_name *found = adapter_names_find(names, name, strlen(name));
  assert_non_null(found);
  if (found->module != meaning.module || found->parts != meaning.parts) {
    fail_msg("%s is the name of two modules", name);
  }
  return OK;
}

static void assert_names_are_of_one(void) {
  struct adapter_target target = {model_modules(tiny.model), &model_family(tiny.model)->unet, ""};
  struct adapter_names *names = NULL;
  struct arena *arena = NULL;
  assert_ok(arena_open(NULL, TINY_ARENA_BYTES, &arena));
  assert_ok(adapter_names_open(&target, arena, &names));
  struct adapter_name_listener listener = {find_itself, names};
  for (size_t i = 0; i < modules_count(target.modules); i++) {
    assert_ok(adapter_names_of(&target, (int)i, &listener));
  }
  assert_null(adapter_names_find(names, "lora_unet_conv", strlen("lora_unet_conv")));
  arena_close(&arena);
}

static void no_two_modules_share_a_name(void **state) {
  (void)state;
  static const char *const models[] = {"tiny-sd2", "tiny-xl", "tiny-refiner", "tiny-lcm"};
  struct tiny kept = tiny;
  assert_names_are_of_one();
  for (size_t i = 0; i < sizeof models / sizeof *models; i++) {
    tiny_open(&tiny, "ref", models[i]);
    assert_names_are_of_one();
    tiny_close(&tiny);
  }
  tiny = kept;
}

/* ---- kinds ---- */

/* sum over r of a[o, r] b[r, i] of two made tensors. */
static double product(const char *a, const char *b, int64_t ranks, int64_t columns,
                      const int64_t at[2]) {
  double sum = 0;
  for (int64_t r = 0; r < ranks; r++) {
    sum += (double)made_value(a, at[0] * ranks + r) * (double)made_value(b, r * columns + at[1]);
  }
  return sum;
}

static void low_rank_with_alpha(void **state) {
  (void)state;
  static float got[VALUES_MAX];
  static double want[VALUES_MAX];
  const char *down = KOHYA "_to_k.lora_down.weight", *up = KOHYA "_to_k.lora_up.weight";
  struct adapter_report report;
  struct made made;
  made_open(&made);
  made_add(&made, down, TENSOR_SHAPE(3, C));
  made_add(&made, up, TENSOR_SHAPE(C, 3));
  made_add_number(&made, KOHYA "_to_k.alpha", 1.5f);
  struct adapter *adapter = open_made(&made, &report);
  delta_of(change_of(adapter, ATTENTION ".to_k"), NULL, got);
  for (int64_t i = 0; i < C * C; i++) {
    want[i] = 0.5 * product(up, down, 3, C, (int64_t[]){i / C, i % C});
  }
  assert_near(got, want, C * C);
  adapter_close(&adapter);
  made_close(&made);
}

static void hadamard_of_two_products(void **state) {
  (void)state;
  static float got[VALUES_MAX];
  static double want[VALUES_MAX];
  static const char *const names[] = {KOHYA "_to_k.hada_w1_a", KOHYA "_to_k.hada_w1_b",
                                      KOHYA "_to_k.hada_w2_a", KOHYA "_to_k.hada_w2_b"};
  struct adapter_report report;
  struct made made;
  made_open(&made);
  for (int i = 0; i < 4; i++) {
    made_add(&made, names[i], 2, i % 2 == 0 ? (int64_t[]){C, 2} : (int64_t[]){2, C});
  }
  struct adapter *adapter = open_made(&made, &report);
  delta_of(change_of(adapter, ATTENTION ".to_k"), NULL, got);
  for (int64_t i = 0; i < C * C; i++) {
    const int64_t at[2] = {i / C, i % C};
    want[i] = product(names[0], names[1], 2, C, at) * product(names[2], names[3], 2, C, at);
  }
  assert_near(got, want, C * C);
  adapter_close(&adapter);
  made_close(&made);
}

static void kronecker_of_a_convolution(void **state) {
  (void)state;
  static float got[VALUES_MAX];
  static double want[VALUES_MAX];
  const char *w1 = "lora_unet_mid_block_resnets_0_conv1.lokr_w1";
  const char *w2 = "lora_unet_mid_block_resnets_0_conv1.lokr_w2";
  struct adapter_report report;
  struct made made;
  made_open(&made);
  made_add(&made, w1, TENSOR_SHAPE(4, 2));
  made_add(&made, w2, TENSOR_SHAPE(C / 4, C / 2, 3, 3));
  made_add_number(&made, "lora_unet_mid_block_resnets_0_conv1.alpha", 7); /* nothing has a rank */
  struct adapter *adapter = open_made(&made, &report);
  delta_of(change_of(adapter, "mid_block.resnets.0.conv1"), NULL, got);
  for (int64_t o = 0; o < C; o++) {
    for (int64_t i = 0; i < C; i++) {
      for (int64_t k = 0; k < 9; k++) {
        int64_t of_w1 = o / (C / 4) * 2 + i / (C / 2);
        int64_t of_w2 = (o % (C / 4) * (C / 2) + i % (C / 2)) * 9 + k;
        want[(o * C + i) * 9 + k] = (double)made_value(w1, of_w1) * (double)made_value(w2, of_w2);
      }
    }
  }
  assert_near(got, want, VALUES_MAX);
  adapter_close(&adapter);
  made_close(&made);
}

/* Each output (or input) gets the length that dora_scale says; PEFT's are of outputs. */
static void dora_sets_lengths(void **state) {
  (void)state;
  static float got[VALUES_MAX], base[VALUES_MAX];
  static const struct {
    const char *name;
    int64_t shape[2];
    bool on_input;
  } rows[] = {{KOHYA "_to_k.dora_scale", {C, 1}, false},
              {KOHYA "_to_k.dora_scale", {1, C}, true},
              {"unet." ATTENTION ".to_k.lora_magnitude_vector", {1, C}, false}};
  for (size_t row = 0; row < sizeof rows / sizeof *rows; row++) {
    const char *dora = rows[row].name;
    struct adapter_report report;
    struct made made;
    made_open(&made);
    made_add(&made, KOHYA "_to_k.lora_down.weight", TENSOR_SHAPE(3, C));
    made_add(&made, KOHYA "_to_k.lora_up.weight", TENSOR_SHAPE(C, 3));
    made_add(&made, dora, 2, rows[row].shape);
    struct adapter *adapter = open_made(&made, &report);
    for (int64_t i = 0; i < C * C; i++) {
      base[i] = made_value("base", i);
    }
    delta_of(change_of(adapter, ATTENTION ".to_k"), base, got);
    for (int64_t group = 0; group < C; group++) {
      double squares = 0;
      for (int64_t i = 0; i < C; i++) {
        int64_t at = rows[row].on_input ? i * C + group : group * C + i;
        squares += pow((double)base[at] + (double)got[at], 2);
      }
      double want = fabs((double)made_value(dora, group));
      if (fabs(sqrt(squares) - want) > 1e-5) {
        fail_msg("length %lld is %g, expected %g", (long long)group, sqrt(squares), want);
      }
    }
    adapter_close(&adapter);
    made_close(&made);
  }
}

/* OpenCLIP's q, k and v in one matrix are three of our modules, each its third of the rows. */
static void three_in_one_matrix(void **state) {
  (void)state;
  static float got[VALUES_MAX];
  static double want[VALUES_MAX];
  enum { W = 32 };
  static const char *const layers[] = {"q_proj", "k_proj", "v_proj"};
  const char *down = "lora_te_transformer_resblocks_1_attn_in_proj.lora_down.weight";
  const char *up = "lora_te_transformer_resblocks_1_attn_in_proj.lora_up.weight";
  struct adapter_report report;
  struct made made;
  made_open(&made);
  made_add(&made, down, TENSOR_SHAPE(2, W));
  made_add(&made, up, TENSOR_SHAPE(3 * W, 2));
  struct adapter *adapter = open_made(&made, &report);
  assert_int_equal(report.changed, 3);
  for (int64_t part = 0; part < 3; part++) {
    char name[128];
    snprintf(name, sizeof name, "text_model.encoder.layers.1.self_attn.%s", layers[part]);
    delta_of(change_of(adapter, name), NULL, got);
    for (int64_t i = 0; i < W * W; i++) {
      want[i] = product(up, down, 2, W, (int64_t[]){part * W + i / W, i % W});
    }
    assert_near(got, want, W * W);
  }
  adapter_close(&adapter);
  made_close(&made);
}

/* ---- alphas beside the tensors ---- */

static float scale_with(const char *metadata, const char *config) {
  struct adapter_report report;
  struct adapter *adapter = NULL;
  struct made made;
  made_open(&made);
  made_add(&made, "unet." ATTENTION ".to_k.lora_A.weight", TENSOR_SHAPE(4, C));
  made_add(&made, "unet." ATTENTION ".to_k.lora_B.weight", TENSOR_SHAPE(C, 4));
  struct adapter_source source = made_source(&made, metadata);
  source.config = config;
  assert_ok(adapter_open(tiny.model, &source, &adapter, &report));
  float scale = adapter->change[0].scale;
  adapter_close(&adapter);
  made_close(&made);
  return scale;
}

static void alphas_of_the_configuration(void **state) {
  (void)state;
  assert_float_equal(scale_with(NULL, NULL), 1, 0);
  assert_float_equal(scale_with("{\"format\":\"pt\"}", NULL), 1, 0);
  assert_float_equal(
      scale_with("{\"lora_adapter_metadata\":\"{\\\"unet.lora_alpha\\\":8}\"}", NULL), 2, 0);
  assert_float_equal(
      scale_with("{\"lora_adapter_metadata\":\"{\\\"text_encoder.lora_alpha\\\":8}\"}", NULL), 1,
      0);
  assert_float_equal(scale_with(NULL, "{\"lora_alpha\": 8, \"use_rslora\": true}"), 4, 0);
  assert_float_equal(
      scale_with(NULL, "{\"lora_alpha\": 8, \"alpha_pattern\": {\"attn1.to_k\": 2}}"), 0.5, 0);
  assert_float_equal(scale_with(NULL, "{\"lora_alpha\": 8, \"alpha_pattern\": {\"n1.to_k\": 2}}"),
                     2, 0);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(every_dialect_is_read_whole), cmocka_unit_test(dialects_agree),
      cmocka_unit_test(dialects_of_xl_agree),        cmocka_unit_test(names_of_the_original_code),
      cmocka_unit_test(no_two_modules_share_a_name), cmocka_unit_test(low_rank_with_alpha),
      cmocka_unit_test(hadamard_of_two_products),    cmocka_unit_test(kronecker_of_a_convolution),
      cmocka_unit_test(dora_sets_lengths),           cmocka_unit_test(three_in_one_matrix),
      cmocka_unit_test(alphas_of_the_configuration),
  };
  return cmocka_run_group_tests(tests, open_ref, close_tiny);
}
