/* test_control.c - control nets against diffusers, and each against what it must not do: change
 * rows that it is not for, cost what is not on, be taken for a model that it does not fit. */
#include "worker/model/control.h"

#include <math.h>

#include "tests/cases/device_rows.h"
#include "tests/unit/model/tiny.h"

#define PROMPT "a red house by the lake at night"
#define NEGATIVE "snow and rain"
#define SIDE 8
#define PIXELS 64
#define VALUES (2 * 4 * SIDE * SIDE)

static const float timesteps[] = {981, 40};
static const float sizes[] = {64, 48, 8, 4, 64, 64}; /* families.json */

/* A model, a net or two for it, and goldens. */
struct bench {
  struct tiny tiny;
  struct control *net;
  struct goldens goldens, inputs;
  struct conditioning condition[2], own[2]; /* the model's, the net's: negative, then prompt */
};

static void condition(struct bench *bench, int index, const char *prompt, bool sized) {
  struct tiny *tiny = &bench->tiny;
  struct condition what = {.prompt = prompt, .size_count = sized ? 6 : 0};
  memcpy(what.sizes, sizes, sized ? sizeof sizes : 0);
  assert_ok(
      model_condition(tiny->model, tiny->keep, tiny->turn, &what, &bench->condition[index], NULL));
  size_t before = arena_used(tiny->keep);
  assert_ok(control_condition(bench->net, tiny->keep, tiny->turn, &bench->condition[index],
                              &bench->own[index]));
  assert_int_equal(arena_used(tiny->turn), 0);
  assert_int_equal(arena_used(tiny->keep) - before, control_condition_bytes(bench->net, 77));
}

static void open_bench(struct bench *bench, const char *device, const char *model,
                       const char *net) {
  struct tiny *tiny = &bench->tiny;
  bool sized = strcmp(model, "tiny-xl") == 0;
  char folder[256]; /* tiny_folder has one place for all */
  snprintf(folder, sizeof folder, "%s", net);
  tiny_open(tiny, device, model);
  assert_ok(control_open(tiny->device, &(struct model_source){.folder = folder},
                         model_family(tiny->model), &bench->net));
  assert_true(control_bytes(bench->net) > 100000);
  goldens_open_file(&bench->goldens, "control.safetensors");
  goldens_open_file(&bench->inputs, "families.safetensors");
  condition(bench, 0, NEGATIVE, sized);
  condition(bench, 1, PROMPT, sized);
}

static void close_bench(struct bench *bench) {
  goldens_close(&bench->goldens);
  goldens_close(&bench->inputs);
  control_close(&bench->net);
  tiny_close(&bench->tiny);
}

/* What the net makes of one of the inputs, u8 [64, 64, 3]. */
static struct tensor hint_of(struct bench *bench, const char *input) {
  struct tiny *tiny = &bench->tiny;
  const uint8_t *bytes = golden(&bench->inputs, input);
  float *values = malloc(PIXELS * PIXELS * 3 * sizeof *values);
  for (int i = 0; i < PIXELS * PIXELS * 3; i++) {
    values[i] = (float)bytes[i] / 255;
  }
  struct tensor image, hint;
  assert_ok(tensor_take(tiny->keep, ELEMENT_F32, TENSOR_SHAPE(PIXELS, PIXELS, 3), &image));
  assert_ok(tensor_take(tiny->keep, device_element(tiny->device),
                        TENSOR_SHAPE(SIDE, SIDE, control_hint_channels(bench->net)), &hint));
  assert_ok(device_put(tiny->device, values, tensor_bytes(&image), &image));
  size_t before = arena_peak(tiny->turn);
  assert_ok(control_hint(bench->net, tiny->turn, &image, &hint));
  assert_int_equal(arena_used(tiny->turn), 0);
  assert_true(arena_peak(tiny->turn) == before ||
              arena_peak(tiny->turn) == control_hint_bytes(bench->net, SIDE, SIDE));
  free(values);
  return hint;
}

/* One net's part in a call of both rows: which picture, how strong for each row. */
struct part {
  const char *input;
  double scale[2];
  bool guess;
};

static void set_part(struct bench *bench, const struct part *part, const struct tensor *latents,
                     struct predict_control *out) {
  struct tiny *tiny = &bench->tiny;
  struct tensor hint = hint_of(bench, part->input);
  struct batch_row rows[2];
  struct batch_control controls[2];
  memset(rows, 0, sizeof rows);
  for (int i = 0; i < 2; i++) {
    rows[i].timestep = timesteps[i];
    rows[i].latents = (const float *)latents->data + i * VALUES / 2;
    rows[i].scale = 1;
    model_context(&bench->own[i], &rows[i]);
    controls[i].hint = hint.data;
    control_scales(bench->net, part->scale[i], part->guess, controls[i].scale);
  }
  struct tensor room;
  assert_ok(device_rows(tiny->device, tiny->keep, rows, 2, &out->rows));
  assert_ok(tensor_take(tiny->keep, ELEMENT_U8, TENSOR_SHAPE((int64_t)sizeof controls), &room));
  assert_ok(device_put(tiny->device, controls, sizeof controls, &room));
  out->net = bench->net;
  out->controls = room.data;
}

/* The U-Net's output [2, 8, 8, 4] under these parts. */
static void predict(struct bench *bench, const struct part *parts, int count, float *out) {
  struct tiny *tiny = &bench->tiny;
  struct arena_mark mark = arena_mark(tiny->keep);
  const struct conditioning *conditionings[] = {&bench->condition[0], &bench->condition[1]};
  struct predict predict = {.control_count = count};
  struct tensor latents;
  assert_ok(
      device_prompt_rows(tiny->device, tiny->keep, timesteps, conditionings, 2, &predict.rows));
  assert_ok(tensor_take(tiny->keep, device_element(tiny->device), TENSOR_SHAPE(2, SIDE, SIDE, 4),
                        &predict.input));
  assert_ok(tensor_take(tiny->keep, ELEMENT_F32, TENSOR_SHAPE(2, SIDE, SIDE, 4), &latents));
  assert_ok(
      tensor_take(tiny->keep, ELEMENT_F32, TENSOR_SHAPE(2, SIDE, SIDE, 4), &predict.prediction));
  tiny_put(tiny, golden(&bench->goldens, "input"), &predict.input);
  tiny_put(tiny, golden(&bench->goldens, "input"), &latents);
  for (int i = 0; i < count; i++) {
    set_part(bench, &parts[i], &latents, &predict.control[i]);
  }
  assert_ok(model_predict(tiny->model, tiny->turn, &predict));
  assert_int_equal(arena_used(tiny->turn), 0);
  assert_true(arena_peak(tiny->turn) <=
              model_predict_bytes(tiny->model, 2, SIDE, SIDE) +
                  (count > 0 ? control_run_bytes(bench->net, 2, SIDE, SIDE) : 0));
  assert_ok(device_get(tiny->device, &predict.prediction, out, VALUES * sizeof *out));
  arena_release(tiny->keep, mark);
}

static void assert_close(struct bench *bench, const float *got, const char *name,
                         double tolerance) {
  double difference =
      tiny_difference(got, golden(&bench->goldens, name), (int64_t[]){2, SIDE, SIDE, 4});
  print_message("%s on %s: %.2e relative\n", name, device_name(bench->tiny.device), difference);
  assert_true(difference < tolerance);
}

/* ---- parity ---- */

static void parity_on(const char *device, double tolerance) {
  struct bench bench;
  float out[VALUES];
  open_bench(&bench, device, "tiny-eps", tiny_folder("tiny-control"));
  predict(&bench, (struct part[]){{"input.control", {0.7, 0.7}, false}}, 1, out);
  assert_close(&bench, out, "plain", tolerance);
  predict(&bench, (struct part[]){{"input.control", {0.7, 0.7}, true}}, 1, out);
  assert_close(&bench, out, "guess", tolerance);
  predict(&bench,
          (struct part[]){{"input.control", {0.5, 0.5}, false}, {"input.image", {0.9, 0.9}, false}},
          2, out);
  assert_close(&bench, out, "two", tolerance);
  close_bench(&bench);
}
static void parity(void **state) {
  (void)state;
  parity_on("ref", 1e-4);
}
static void parity_on_cpu(void **state) {
  (void)state;
  parity_on("cpu in f32", 1e-4);
  parity_on("cpu", 4e-2);
}

static void parity_xl(void **state) {
  (void)state;
  struct bench bench;
  float out[VALUES];
  open_bench(&bench, "ref", "tiny-xl", tiny_folder("tiny-control-xl"));
  predict(&bench, (struct part[]){{"input.control", {0.6, 0.6}, false}}, 1, out);
  assert_close(&bench, out, "xl", 1e-4);
  close_bench(&bench);
}

/* ---- configs ---- */

static const char *scratch(void) {
  static char path[64];
  snprintf(path, sizeof path, "/tmp/darkroom-control-%d", getpid());
  return path;
}
static void copy_and(const char *net, const char *command) {
  char line[1024];
  snprintf(line, sizeof line, "rm -rf %s && cp -r %s %s && cd %s && %s", scratch(),
           tiny_folder(net), scratch(), scratch(), command);
  tiny_shell(line);
}
static int remove_scratch(void **state) {
  (void)state;
  char command[128];
  snprintf(command, sizeof command, "rm -rf %s", scratch());
  tiny_shell(command);
  return 0;
}

static void assert_hint(struct bench *bench, const char *name) {
  int64_t channels = control_hint_channels(bench->net);
  struct tensor hint = hint_of(bench, "input.control");
  float *values = malloc(tensor_bytes(&hint));
  assert_ok(device_get(bench->tiny.device, &hint, values, tensor_bytes(&hint)));
  double difference =
      tiny_difference(values, golden(&bench->goldens, name), (int64_t[]){1, SIDE, SIDE, channels});
  print_message("%s: %.2e relative\n", name, difference);
  assert_true(difference < 5e-5); /* the orders of the channels differ by 7e-4 */
  free(values);
}

static void order_of_channels(void **state) {
  (void)state;
  struct bench bench;
  open_bench(&bench, "ref", "tiny-eps", tiny_folder("tiny-control"));
  assert_hint(&bench, "hint");
  close_bench(&bench);
  copy_and("tiny-control", "sed -i 's/\"rgb\"/\"bgr\"/' config.json");
  open_bench(&bench, "ref", "tiny-eps", scratch());
  assert_hint(&bench, "hint_blue_first");
  close_bench(&bench);
}

/* global_pool_conditions: the mean of what the net says counts, and guess mode scales alike. */
static void pooled_on(const char *device, double tolerance) {
  struct bench bench;
  float out[VALUES];
  copy_and("tiny-control",
           "sed -i 's/\"global_pool_conditions\": false/\"global_pool_conditions\": true/' "
           "config.json");
  open_bench(&bench, device, "tiny-eps", scratch());
  predict(&bench, (struct part[]){{"input.control", {0.7, 0.7}, true}}, 1, out);
  assert_close(&bench, out, "pooled", tolerance);
  close_bench(&bench);
}
static void pooled(void **state) {
  (void)state;
  pooled_on("ref", 1e-4);
  pooled_on("cpu", 4e-2);
}

static void refusals(void **state) {
  (void)state;
  static const struct {
    const char *net, *command, *reason;
  } rows[] = {
      {"tiny-control", "sed -i 's/ControlNetModel/ControlNetUnionModel/' config.json",
       "_class_name is 'ControlNetUnionModel'; implemented: 'ControlNetModel'"},
      {"tiny-control", /* as XL's small ones have it */
       "sed -i '0,/{/s/{/{\"mid_block_type\": \"UNetMidBlock2D\",/' config.json",
       "mid_block_type is 'UNetMidBlock2D'; implemented: 'UNetMidBlock2DCrossAttn'"},
      {"tiny-control", "sed -i 's/\"rgb\"/\"gbr\"/' config.json",
       "controlnet_conditioning_channel_order is 'gbr'; implemented: 'rgb'|'bgr'"},
      {"tiny-control", "sed -i 's/{/{\"control_type\": 1,/' config.json",
       "control_type (1) is not a key that darkroom knows"},
      {"tiny-control",
       "sed -i 's/\"cross_attention_dim\": 32/\"cross_attention_dim\": 48/' "
       "config.json",
       "takes text of width 48, the model gives 32"},
      {"tiny-control-xl", "true", "the control net"},
      {"tiny-control", "rm diffusion_pytorch_model.safetensors", "diffusion_pytorch_model"},
      {"tiny-control",
       "sed -i 's/\"controlnet_mid_block.bias\"/\"controlnet_mud_block.bias\"/' "
       "diffusion_pytorch_model.safetensors",
       "\"controlnet_mid_block.bias\" is missing"},
  };
  struct tiny tiny;
  tiny_open(&tiny, "ref", "tiny-eps");
  size_t before = device_memory_used(tiny.device);
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    struct control *net = NULL;
    copy_and(rows[i].net, rows[i].command);
    assert_refused(control_open(tiny.device, &(struct model_source){.folder = scratch()},
                                model_family(tiny.model), &net),
                   rows[i].reason);
    assert_null(net);
    assert_int_equal(device_memory_used(tiny.device), before);
  }
  tiny_close(&tiny);
}

/* The net's own names, as its authors' code writes them, are the same net: with configs beside the
 * file, and by what the family and its own shapes say. */
static void original_names(void **state) {
  (void)state;
  static const char *const configs[] = {TINY_FIXTURES "/tiny-control", NULL};
  struct bench bench;
  float folder[VALUES], file[VALUES];
  struct part part = {"input.control", {0.7, 0.7}, false};
  open_bench(&bench, "ref", "tiny-eps", tiny_folder("tiny-control"));
  predict(&bench, &part, 1, folder);
  for (int i = 0; i < 2; i++) {
    struct model_source source = {.folder = TINY_FIXTURES "/single",
                                  .file = "tiny-control.safetensors",
                                  .configs = configs[i]};
    struct control *single = NULL;
    assert_ok(control_open(bench.tiny.device, &source, model_family(bench.tiny.model), &single));
    control_close(&bench.net);
    bench.net = single;
    memset(file, 0, sizeof file);
    predict(&bench, &part, 1, file);
    assert_memory_equal(file, folder, sizeof file);
  }
  close_bench(&bench);
}

/* ---- rows ---- */

/* A scale of 0 leaves a row as it is without any net, bit for bit, whatever its mates have. */
static void rows_without(void **state) {
  (void)state;
  struct bench bench;
  float without[VALUES], half[VALUES], both[VALUES];
  open_bench(&bench, "cpu", "tiny-eps", tiny_folder("tiny-control"));
  predict(&bench, NULL, 0, without);
  predict(&bench, (struct part[]){{"input.control", {0, 0.7}, false}}, 1, half);
  predict(&bench, (struct part[]){{"input.control", {0.7, 0.7}, false}}, 1, both);
  assert_memory_equal(half, without, sizeof half / 2);
  assert_memory_equal(half + VALUES / 2, both + VALUES / 2, sizeof half / 2);
  assert_memory_not_equal(both, without, sizeof half / 2);
  close_bench(&bench);
}

static void scales(void **state) {
  (void)state;
  struct bench bench;
  float plain[CONTROL_SKIPS_MAX], guess[CONTROL_SKIPS_MAX];
  open_bench(&bench, "ref", "tiny-eps", tiny_folder("tiny-control"));
  int skips = control_skips(bench.net);
  control_scales(bench.net, 0.5, false, plain);
  control_scales(bench.net, 0.5, true, guess);
  for (int i = 0; i < CONTROL_SKIPS_MAX; i++) {
    assert_float_equal(plain[i], i < skips ? 0.5 : 0, 0);
    assert_float_equal(guess[i], i < skips ? 0.5 * pow(10, i / (skips - 1.0) - 1) : 0, 1e-6);
  }
  close_bench(&bench);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(parity),         cmocka_unit_test(parity_on_cpu),
      cmocka_unit_test(parity_xl),      cmocka_unit_test(order_of_channels),
      cmocka_unit_test(pooled),         cmocka_unit_test(refusals),
      cmocka_unit_test(original_names), cmocka_unit_test(rows_without),
      cmocka_unit_test(scales),
  };
  return cmocka_run_group_tests_name("control", tests, NULL, remove_scratch);
}
