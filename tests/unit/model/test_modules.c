/* test_modules.c - the list of what adapters may change is what was loaded, by name and by weight.
 */
#include "worker/model/modules.h"

#include "tests/unit/model/tiny.h"

static const struct module *find(const struct tiny *tiny, enum network network, const char *name) {
  int index = modules_find(model_modules(tiny->model), network, name);
  if (index < 0) {
    fail_msg("%s is not listed", name);
  }
  return modules_at(model_modules(tiny->model), index);
}

static void layers_are_listed_with_their_shapes(void **state) {
  const struct tiny *tiny = *state;
  const struct module *conv = find(tiny, NETWORK_UNET, "conv_in");
  assert_int_equal(conv->kind, MODULE_CONV);
  assert_int_equal(conv->outputs, 32);
  assert_int_equal(conv->inputs, 4);
  const struct module *feed =
      find(tiny, NETWORK_UNET, "mid_block.attentions.0.transformer_blocks.0.ff.net.0.proj");
  assert_int_equal(feed->kind, MODULE_LINEAR);
  assert_int_equal(feed->outputs, 8 * 64);
  assert_int_equal(feed->inputs, 64);
  assert_true(feed->bias);
  const struct module *norm = find(tiny, NETWORK_UNET, "conv_norm_out");
  assert_int_equal(norm->kind, MODULE_NORM);
  assert_int_equal(norm->groups, 8);
  assert_non_null(find(tiny, NETWORK_UNET, "up_blocks.0.upsamplers.0.conv")->doubling);
  assert_int_equal(modules_find(model_modules(tiny->model), NETWORK_UNET, "decoder.conv_in"), -1);
  find(tiny, NETWORK_TEXT, "text_model.encoder.layers.1.mlp.fc2");
}

static void what_is_packed_side_by_side_is_found_by_its_weight(void **state) {
  const struct tiny *tiny = *state;
  const struct module_list *modules = model_modules(tiny->model);
  const char *block = "mid_block.attentions.0.transformer_blocks.0";
  char name[128];
  static const struct {
    const char *name;
    int part, parts;
  } rows[] = {{"attn1.to_q", 0, 3}, {"attn1.to_k", 1, 3}, {"attn1.to_v", 2, 3},
              {"attn2.to_q", 0, 1}, {"attn2.to_k", 0, 2}, {"attn2.to_v", 1, 2}};
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    snprintf(name, sizeof name, "%s.%s", block, rows[i].name);
    int index = modules_find(modules, NETWORK_UNET, name);
    const struct module *module = modules_at(modules, index);
    assert_int_equal(module->part, rows[i].part);
    assert_int_equal(module->parts, rows[i].parts);
    assert_int_equal(modules_holding(modules, module->held), index - rows[i].part);
  }
  assert_int_equal(modules_holding(modules, modules), -1);
}

/* Each weight and norm of the two networks stands in the list once: 2 of a joined product are one.
 */
static void nothing_is_listed_twice(void **state) {
  const struct module_list *modules = model_modules(((const struct tiny *)*state)->model);
  for (size_t i = 0; i < modules_count(modules); i++) {
    const struct module *module = modules_at(modules, (int)i);
    assert_int_equal(modules_find(modules, module->network, module->name), i);
    assert_true(module->held != NULL || module->doubling != NULL);
    assert_int_equal(modules_holding(modules, module->held), i - (size_t)module->part);
  }
}

static int open_tiny(void **state) {
  static struct tiny tiny;
  tiny_open(&tiny, "ref", "tiny-eps");
  *state = &tiny;
  return 0;
}
static int close_tiny(void **state) {
  tiny_close(*state);
  return 0;
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(layers_are_listed_with_their_shapes),
      cmocka_unit_test(what_is_packed_side_by_side_is_found_by_its_weight),
      cmocka_unit_test(nothing_is_listed_twice),
  };
  return cmocka_run_group_tests(tests, open_tiny, close_tiny);
}
