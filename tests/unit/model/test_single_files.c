/* test_single_files.c - the same weights in a folder and in one file under the original names: the
 * same tensors, byte for byte, and nothing left over.
 */
#include "kernels/device.h"
#include "tests/unit/model/tiny.h"
#include "worker/model/checkpoint.h"
#include "worker/model/family_guess.h"
#include "worker/model/weight_files.h"
#include "worker/model/weights.h"

#define SINGLE TINY_FIXTURES "/single"

static const struct {
  const char *folder;
  enum network network[5];
} models[] = {
    {"tiny-eps", {NETWORK_VAE, NETWORK_UNET, NETWORK_TEXT}},
    {"tiny-inpaint", {NETWORK_VAE, NETWORK_UNET, NETWORK_TEXT}},
    {"tiny-lcm", {NETWORK_VAE, NETWORK_UNET, NETWORK_TEXT}},
    {"tiny-sd2", {NETWORK_VAE, NETWORK_UNET, NETWORK_TEXT}},
    {"tiny-xl", {NETWORK_VAE, NETWORK_UNET, NETWORK_TEXT, NETWORK_TEXT_2}},
    {"tiny-refiner", {NETWORK_VAE, NETWORK_UNET, NETWORK_TEXT_2}},
    {"tiny-control", {NETWORK_CONTROL}},
    {"tiny-control-xl", {NETWORK_CONTROL}},
};
#define MODELS (sizeof models / sizeof *models)

/* A 1x1 convolution is a matrix: where one layout has it with more sides, these are ones. */
static void assert_same_shape(const char *name, const struct tensor *a, const struct tensor *b) {
  for (int i = 0; i < TENSOR_RANK_MAX; i++) {
    if (a->shape[i] != b->shape[i]) {
      fail_msg("%s: side %d is %lld and %lld", name, i, (long long)a->shape[i],
               (long long)b->shape[i]);
    }
  }
}

static void take(struct weights *weights, const char *name, struct tensor *out) {
  static const int64_t any[TENSOR_RANK_MAX] = {-1, -1, -1, -1};
  assert_ok(weights_take(weights, name, weights_rank(weights, name), any, out));
}

static void compare(const struct model_source *folder, const struct model_source *single,
                    enum network network) {
  struct checkpoint *files[2] = {NULL};
  struct weights *weights[2] = {NULL};
  assert_ok(checkpoint_open(folder, &files[0]));
  assert_ok(checkpoint_open(single, &files[1]));
  for (int i = 0; i < 2; i++) {
    assert_ok(weights_open_network(files[i], network, &weights[i]));
  }
  size_t count = 0;
  for (const char *name = NULL; (name = weights_name(weights[0], count)) != NULL; count++) {
    struct tensor a, b;
    take(weights[0], name, &a);
    take(weights[1], name, &b);
    assert_same_shape(name, &a, &b);
    assert_int_equal(a.element, b.element);
    assert_memory_equal(a.data, b.data, tensor_bytes(&a));
    if (count % 7 == 0) {
      weights_give_back(weights[0]);
      weights_give_back(weights[1]);
      assert_memory_equal(a.data, a.data, 1); /* pages come again */
    }
  }
  assert_true(count > 20);
  assert_ok(weights_all_used(weights[1]));
  for (int i = 0; i < 2; i++) {
    weights_close(&weights[i]);
    checkpoint_close(&files[i]);
  }
}

static void both_layouts_hold_the_same_tensors(void **state) {
  (void)state;
  for (size_t i = 0; i < MODELS; i++) {
    char folder[256], file[64];
    snprintf(folder, sizeof folder, "%s", tiny_folder(models[i].folder));
    snprintf(file, sizeof file, "%s.safetensors", models[i].folder);
    struct model_source a = {.folder = folder}, b = {.folder = SINGLE, .file = file};
    for (int k = 0; k < 5 && models[i].network[k] != NETWORK_NONE; k++) {
      compare(&a, &b, models[i].network[k]);
    }
  }
}

/* ---- as a model ---- */

/* A copy of the file with a change by a script that has its header as `head`. */
static void changed(const char *file, const char *change, const char *to) {
  char command[2048];
  snprintf(command, sizeof command,
           "python3 - <<'END'\n"
           "import json, struct\n"
           "raw = open('" SINGLE
           "/%s', 'rb').read()\n"
           "n = struct.unpack('<Q', raw[:8])[0]\n"
           "head, data = json.loads(raw[8:8 + n]), raw[8 + n:]\n"
           "def add(name, like, *ends):\n"
           "    global data\n"
           "    a, b = head[like]['data_offsets']\n"
           "    head[name] = {**head[like], 'data_offsets': [len(data), len(data) + b - a]}\n"
           "    data += data[a:b]\n"
           "%s\n"
           "text = json.dumps(head).encode()\n"
           "open('%s', 'wb').write(struct.pack('<Q', len(text)) + text + data)\n"
           "END",
           file, change, to);
  tiny_shell(command);
}

static enum status open_model(const struct model_source *source) {
  struct device *device = NULL;
  struct model *model = NULL;
  assert_ok(device_open("ref", NULL, &device));
  enum status status = model_open(device, source, &model);
  char reason[1024];
  snprintf(reason, sizeof reason, "%s", status == OK ? "" : fail_reason());
  model_close(&model);
  assert_int_equal(device_memory_used(device), 0);
  device_close(&device);
  return status == OK ? OK : fail_field(status, "weights", "%s", reason);
}

static const char *const whole[] = {"tiny-eps", "tiny-inpaint", "tiny-lcm",
                                    "tiny-sd2", "tiny-xl",      "tiny-refiner"};

static void a_single_file_is_a_model(void **state) {
  (void)state;
  for (size_t i = 0; i < sizeof whole / sizeof *whole; i++) {
    char folder[256], file[64];
    snprintf(folder, sizeof folder, "%s", tiny_folder(whole[i]));
    snprintf(file, sizeof file, "%s.safetensors", whole[i]);
    struct model_source source = {.folder = SINGLE, .file = file, .configs = folder};
    assert_ok(open_model(&source));
    assert_ok(model_look(&source));
  }
}

#define COPY "/tmp/darkroom-single.safetensors"
#define TAKEN "{'scale_factor': 0, 'model_ema.decay': 0, 'betas': 0}"

static void what_lies_in_a_single_file(void **state) {
  (void)state;
  static const struct {
    const char *change, *reason; /* NULL: loads */
  } cases[] = {
      /* what training leaves behind */
      {"for name in " TAKEN ": add(name, 'model.diffusion_model.out.2.bias')", NULL},
      {"add('cond_stage_model.transformer.text_model.embeddings.position_ids', "
       "'model.diffusion_model.out.2.bias')",
       NULL},
      {"add('surprise', 'model.diffusion_model.out.2.bias')",
       "1 tensors belong to no network of sd1, the first is \"surprise\""},
      {"add('model.diffusion_model.surprise.x', 'model.diffusion_model.out.2.bias')",
       "the first is \"model.diffusion_model.surprise.x\""},
      {"add('model.diffusion_model.out.7.bias', 'model.diffusion_model.out.2.bias')",
       "the first is \"model.diffusion_model.out.7.bias\""},
      {"head['model.diffusion_model.out.1.bias'] = head.pop('model.diffusion_model.out.2.bias')",
       "\"conv_out.bias\" is missing, its shape would be [4]"},
      {"add('model.diffusion_model.input_blocks.9999999.0.in_layers.0.bias', "
       "'model.diffusion_model.out.2.bias')",
       "input_blocks.9999999"},
      {"add('first_stage_model.decoder.up.7.block.0.norm1.bias', "
       "'model.diffusion_model.out.2.bias')",
       "tensors"},
      {"head = {k.replace('cond_stage_model.transformer', 'text'): v for k, v in head.items()}",
       "no family is known by its keys"},
      {"head = {k.replace('first_stage_model', 'first'): v for k, v in head.items()}",
       "no vae is in it"},
  };
  char folder[256];
  snprintf(folder, sizeof folder, "%s", tiny_folder("tiny-eps"));
  struct model_source source = {
      .folder = "/tmp", .file = COPY + strlen("/tmp/"), .configs = folder};
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    changed("tiny-eps.safetensors", cases[i].change, COPY);
    if (cases[i].reason == NULL) {
      assert_ok(open_model(&source));
    } else {
      assert_refused(open_model(&source), cases[i].reason);
    }
  }
  unlink(COPY);
}

/* Every tensor of the U-Net has its averaged copy under a name without dots. */
static void averaged_copies_only_when_asked(void **state) {
  (void)state;
  char folder[256];
  snprintf(folder, sizeof folder, "%s", tiny_folder("tiny-eps"));
  struct model_source source = {
      .folder = "/tmp", .file = COPY + strlen("/tmp/"), .configs = folder};
  changed("tiny-eps.safetensors",
          "unet = [k for k in head if k.startswith('model.diffusion_model.')]\n"
          "for k in unet: add('model_ema.' + k[6:].replace('.', ''), k)\n"
          "a = head['model_ema.diffusion_modelout2bias']['data_offsets'][0]\n"
          "data = data[:a] + struct.pack('<f', 7.5) + data[a + 4:]",
          COPY);
  for (int averaged = 0; averaged < 2; averaged++) {
    struct checkpoint *files = NULL;
    struct weights *weights = NULL;
    struct tensor bias;
    source.averaged = averaged;
    assert_ok(open_model(&source));
    assert_ok(checkpoint_open(&source, &files));
    assert_ok(weights_open_network(files, NETWORK_UNET, &weights));
    assert_ok(weights_take(weights, "conv_out.bias", TENSOR_SHAPE(4), &bias));
    assert_int_equal(*(const float *)bias.data == 7.5f, averaged);
    weights_close(&weights);
    checkpoint_close(&files);
  }
  changed("tiny-eps.safetensors", "", COPY);
  assert_refused(open_model(&source), "no averaged copy of \"model.diffusion_model.");
  unlink(COPY);
}

static void what_the_table_says_and_the_file_does_not(void **state) {
  (void)state;
  char folder[256];
  snprintf(folder, sizeof folder, "%s", tiny_folder("tiny-eps"));
  struct model_source source = {.folder = SINGLE, .file = "tiny-eps.safetensors"};
  source.configs = folder;
  source.family = "sd3";
  assert_refused(open_model(&source), "there is no family sd3: sd1, sd2, sdxl");
  source.family = "sd2";
  assert_refused(open_model(&source), "it is not of the family sd2 by its keys");
  source.family = "sd1";
  assert_ok(open_model(&source));
  source.configs = NULL; /* 32 channels in 8 heads are a matter of configs */
  source.tokenizer = folder;
  assert_int_equal(open_model(&source), BAD_INPUT);
  source = (struct model_source){.folder = SINGLE, .file = "tiny-control.safetensors"};
  assert_refused(open_model(&source), "no family is known by its keys");

  struct model_source in_folder = {.folder = folder, .family = "sd2"};
  assert_refused(open_model(&in_folder), "it is of the family sd1, and the table says sd2");
  struct family family;
  struct model_source v = {.folder = folder, .prediction = "v_prediction"};
  assert_ok(family_look(&v, &family));
  assert_int_equal(family.noise.prediction, PREDICTION_V);
  assert_false(family.prediction_assumed);
}

static void a_tokenizer_is_named_or_lies_beside(void **state) {
  (void)state;
  char folder[256], own[300];
  snprintf(folder, sizeof folder, "%s", tiny_folder("tiny-eps"));
  snprintf(own, sizeof own, "%s/tokenizer", folder);
  struct model_source source = {
      .folder = SINGLE, .file = "tiny-eps.safetensors", .configs = "tests/model/sd15"};
  source.tokenizer = "/tmp";
  assert_refused(model_look(&source), "a single file has no tokenizer: tokenizer = FOLDER");
  source.configs = folder;
  source.tokenizer = NULL;
  assert_ok(model_look(&source)); /* the configs' */
  source.tokenizer = own;
  assert_ok(model_look(&source));
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(both_layouts_hold_the_same_tensors),
      cmocka_unit_test(a_single_file_is_a_model),
      cmocka_unit_test(what_lies_in_a_single_file),
      cmocka_unit_test(averaged_copies_only_when_asked),
      cmocka_unit_test(what_the_table_says_and_the_file_does_not),
      cmocka_unit_test(a_tokenizer_is_named_or_lies_beside),
  };
  return cmocka_run_group_tests_name("single files", tests, NULL, NULL);
}
