/* test_family.c - facts out of config files, and values that must be refused by name. */
#include "worker/model/family.h"

#include "base/limits.h"
#include "tests/unit/model/tiny.h"

/* A folder of this process's own. */
static const char *scratch(void) {
  static char path[64];
  snprintf(path, sizeof path, "/tmp/darkroom-family-%d", getpid());
  return path;
}

/* A tiny model's configs in a folder of their own, one of them with a key changed or added. */
static void change_of(const char *model, const char *file, const char *key, const char *value) {
  char command[512];
  snprintf(command, sizeof command,
           "rm -rf %s && mkdir %s && cd %s && cp --parents $(find . -name '*.json') %s", scratch(),
           scratch(), tiny_folder(model), scratch());
  tiny_shell(command);
  if (file == NULL) {
    return;
  }
  json_t *root = NULL, *changed = json_loads(value, JSON_DECODE_ANY, NULL);
  char path[256];
  snprintf(path, sizeof path, "%s/%s", scratch(), file);
  root = json_load_file(path, 0, NULL);
  assert_non_null(root);
  assert_non_null(changed);
  json_object_set_new(root, key, changed);
  assert_int_equal(json_dump_file(root, path, 0), 0);
  json_decref(root);
}

static void change(const char *file, const char *key, const char *value) {
  change_of("tiny-eps", file, key, value);
}

static void facts_of_the_tiny_model(void **state) {
  (void)state;
  struct family family;
  assert_ok(family_read(tiny_folder("tiny-eps"), &family));
  assert_int_equal(family.clip[0].width, 32);
  assert_int_equal(family.clip[0].activation, ACTIVATION_QUICK_GELU);
  assert_int_equal(family.unet.levels, 2);
  assert_int_equal(family.unet.channels[1], 64);
  assert_int_equal(family.unet.heads[0], 2);
  assert_true(family.unet.attention_down[0] && !family.unet.attention_down[1]);
  assert_true(!family.unet.attention_up[0] && family.unet.attention_up[1]);
  assert_int_equal(family.vae.levels, 4);
  assert_int_equal(family.scale_factor, 8);
  assert_float_equal(family.vae.scaling_factor, 0.5, 1e-9);
  assert_int_equal(family.noise.spacing, SPACING_LEADING);
  assert_int_equal(family.noise.prediction, PREDICTION_EPSILON);
  assert_int_equal(family.noise.beta_schedule, BETAS_SCALED_LINEAR);
  assert_int_equal(family.noise.final_alpha, FINAL_ALPHA_FIRST);
  assert_ok(family_read(tiny_folder("tiny-v"), &family));
  assert_int_equal(family.noise.prediction, PREDICTION_V);
  assert_int_equal(family.noise.spacing, SPACING_TRAILING);
}

static void values_that_are_accepted(void **state) {
  (void)state;
  static const struct {
    const char *file, *key, *value;
  } rows[] = {
      {"unet/config.json", "attention_head_dim", "[2, 4]"},
      {"unet/config.json", "num_attention_heads", "null"},
      {"unet/config.json", "resnet_out_scale_factor", "1.0"},
      {"unet/config.json", "use_linear_projection", "true"},
      {"unet/config.json", "in_channels", "9"},
      {"unet/config.json", "time_cond_proj_dim", "256"},
      {"unet/config.json", "time_cond_proj_dim", "null"},
      {"unet/config.json", "transformer_layers_per_block", "[1, 2]"},
      {"vae/config.json", "shift_factor", "0.1"},
      {"vae/config.json", "latents_mean", "null"},
      {"text_encoder/config.json", "hidden_act", "\"gelu\""},
      {"scheduler/scheduler_config.json", "_class_name", "\"DPMSolverMultistepScheduler\""},
      {"scheduler/scheduler_config.json", "use_karras_sigmas", "true"},
      {"model_index.json", "_class_name", "\"StableDiffusionInpaintPipeline\""},
      {"model_index.json", "_class_name", "\"LatentConsistencyModelPipeline\""},
      {"model_index.json", "text_encoder_2", "[null, null]"},
      {"model_index.json", "safety_checker",
       "[\"stable_diffusion\", \"StableDiffusionSafetyChecker\"]"},
  };
  struct family family;
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    change(rows[i].file, rows[i].key, rows[i].value);
    assert_ok(family_read(scratch(), &family));
  }
}

static struct family read_model(const char *model) {
  struct family family;
  assert_ok(family_read(tiny_folder(model), &family));
  return family;
}

static void facts_of_every_family(void **state) {
  (void)state;
  struct family family = read_model("tiny-sd2");
  assert_string_equal(family.row->name, "sd2");
  assert_int_equal(family.clip[0].activation, ACTIVATION_GELU);
  assert_int_equal(family.unet.heads[1], 4);
  assert_true(family.noise.rescale_zero_snr);
  assert_false(family.zeros_when_silent);
  assert_int_equal(family.clip[0].projection, 0);
  family = read_model("tiny-inpaint");
  assert_string_equal(family.row->name, "sd1");
  assert_int_equal(family.unet.in_channels, 9);
  family = read_model("tiny-lcm");
  assert_int_equal(family.unet.guidance_width, 16);
  assert_int_equal(family.noise.steps_offset, 0); /* its pipeline leaves it as it is */
  family = read_model("tiny-xl");
  assert_string_equal(family.row->name, "sdxl");
  assert_int_equal(family.row->text_encoders, 2);
  assert_int_equal(family.clip[0].projection, 0);
  assert_int_equal(family.clip[1].projection, 40);
  assert_int_equal(family.unet.addition.sizes, 6);
  assert_int_equal(family.unet.addition.width, 8);
  assert_int_equal(family.unet.addition.pooled, 40);
  assert_true(!family.unet.attention_down[0] && family.unet.attention_down[2]);
  assert_int_equal(family.unet.transformer_layers[2], 2);
  assert_true(family.zeros_when_silent);
  assert_int_equal(family.vae.precision, PRECISION_RANGE);
  assert_int_equal(family_encoder(&family, NETWORK_TEXT_2), 1);
  family = read_model("tiny-refiner");
  assert_string_equal(family.row->name, "sdxl-refiner");
  assert_int_equal(family.unet.addition.sizes, 5);
  assert_int_equal(family_encoder(&family, NETWORK_TEXT), -1);
  assert_int_equal(family_encoder(&family, NETWORK_TEXT_2), 0);
  assert_false(family.zeros_when_silent);
}

static void values_of_xl_that_are_refused(void **state) {
  (void)state;
  static const struct {
    const char *file, *key, *value, *reason;
  } rows[] = {
      {"model_index.json", "_class_name", "\"StableDiffusionPipeline\"", "no text_encoder_2"},
      {"model_index.json", "tokenizer_2", "null", "tokenizer_2 is missing"},
      {"model_index.json", "requires_aesthetics_score", "true", "implemented for sdxl: false"},
      {"unet/config.json", "addition_embed_type", "null", "implemented here: 'text_time'"},
      {"unet/config.json", "addition_time_embed_dim", "null", "addition_time_embed_dim 0"},
      {"unet/config.json", "addition_time_embed_dim", "7", "addition_time_embed_dim 7"},
      {"unet/config.json", "projection_class_embeddings_input_dim", "48", "input_dim 48"},
      {"unet/config.json", "projection_class_embeddings_input_dim", "90",
       "a pooled text of 42, but projection_dim is 40"},
      {"unet/config.json", "cross_attention_dim", "48", "but the text encoder gives 80"},
      {"unet/config.json", "in_channels", "8", "in_channels 8"},
      {"unet/config.json", "transformer_layers_per_block", "[1, 2]", "has 2 entries"},
      {"text_encoder_2/config.json", "projection_dim", "0", "projection_dim is 0"},
      {"text_encoder_2/config.json", "max_position_embeddings", "60", "max_position_embeddings 60"},
      {"scheduler/scheduler_config.json", "clip_sample", "true", "clip_sample is true"},
  };
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    struct family family;
    change_of("tiny-xl", rows[i].file, rows[i].key, rows[i].value);
    assert_refused(family_read(scratch(), &family), rows[i].reason);
    assert_string_equal(fail_field_name(), "config");
  }
}

/* diffusers opens the class that the index names. */
static void the_index_says_whose_tokenizer(void **state) {
  (void)state;
  struct family family;
  change(NULL, NULL, NULL);
  assert_ok(family_read(scratch(), &family));
  assert_int_equal(family.prompt[0], PROMPT_PLAIN);
  change("model_index.json", "tokenizer", "[\"transformers\", \"CLIPTokenizerFast\"]");
  assert_ok(family_read(scratch(), &family));
  assert_int_equal(family.prompt[0], PROMPT_FAST);
  change("model_index.json", "tokenizer", "[\"transformers\", \"T5Tokenizer\"]");
  assert_refused(family_read(scratch(), &family), "tokenizer");
}

static void values_that_are_refused(void **state) {
  (void)state;
  static const struct {
    const char *file, *key, *value, *reason;
  } rows[] = {
      {"unet/config.json", "brand_new_option", "1", "brand_new_option (1) is not a key"},
      {"unet/config.json", "class_embed_type", "\"timestep\"", "class_embed_type is 'timestep'"},
      {"unet/config.json", "time_cond_proj_dim", "0", "time_cond_proj_dim is 0"},
      {"unet/config.json", "mid_block_type", "null", "mid_block_type is null"},
      {"unet/config.json", "addition_embed_type", "\"text\"", "addition_embed_type is 'text'"},
      {"unet/config.json", "addition_embed_type", "\"text_time\"", "implemented here: null"},
      {"unet/config.json", "resnet_time_scale_shift", "\"scale_shift\"", "implemented: 'default'"},
      {"unet/config.json", "down_block_types", "[\"CrossAttnDownBlock2D\", \"AttnDownBlock2D\"]",
       "AttnDownBlock2D"},
      {"unet/config.json", "down_block_types", "[\"CrossAttnDownBlock2D\"]",
       "has 1 entries, block_out_channels 2"},
      {"unet/config.json", "block_out_channels", "[32, 60]",
       "60 channels are not a multiple of norm_num_groups 8"},
      {"unet/config.json", "block_out_channels", "[8,8,8,8,8,8,8]", "list of 1 to 6"},
      {"unet/config.json", "block_out_channels", "32", "list of 1 to 6"},
      {"unet/config.json", "attention_head_dim", "[2, 3]",
       "64 channels are not a multiple of 3 heads"},
      {"unet/config.json", "attention_head_dim", "[2, 4, 4]", "has 3 entries"},
      {"unet/config.json", "num_attention_heads", "8", "num_attention_heads is 8"},
      {"unet/config.json", "attention_head_dim", "null", "attention_head_dim is null"},
      {"unet/config.json", "attention_head_dim", "0", "allowed: 1 to 256"},
      {"unet/config.json", "attention_head_dim", "2.5", "attention_head_dim is 2.5"},
      {"unet/config.json", "cross_attention_dim", "64", "but the text encoder gives 32"},
      {"unet/config.json", "center_input_sample", "true", "center_input_sample is true"},
      {"vae/config.json", "shift_factor", "[0.1, 0.2]", "shift_factor is a list"},
      {"vae/config.json", "shift_factor", "\"0.1\"", "shift_factor is '0.1'; allowed"},
      {"vae/config.json", "latents_mean", "[1, 2, 3]",
       "latents_mean has 3 values and latents_std 0"},
      {"vae/config.json", "latents_std", "[1, 1, 0, 1]",
       "latents_std is [1.0,1.0,0.0,1.0]; allowed"},
      {"vae/config.json", "out_channels", "1", "out_channels is 1"},
      {"vae/config.json", "scaling_factor", "0", "scaling_factor is 0"},
      {"vae/config.json", "scaling_factor", "\"x\"", "scaling_factor is 'x'"},
      {"vae/config.json", "up_block_types", "[\"UpDecoderBlock2D\"]", "has 1 entries"},
      {"vae/config.json", "down_block_types", "[\"DownEncoderBlock2D\"]", "has 1 entries"},
      {"vae/config.json", "in_channels", "4", "in_channels is 4"},
      {"text_encoder/config.json", "hidden_act", "\"relu\"", "hidden_act is 'relu'"},
      {"text_encoder/config.json", "num_attention_heads", "5", "not a multiple of 5 heads"},
      {"text_encoder/config.json", "max_position_embeddings", "248", "allowed: 3 to 77"},
      {"scheduler/scheduler_config.json", "_class_name", "\"DEISMultistepScheduler\"",
       "_class_name is 'DEISMultistepScheduler'"},
      {"scheduler/scheduler_config.json", "trained_betas", "[0.1]", "trained_betas is [0.1"},
      {"scheduler/scheduler_config.json", "thresholding", "true", "thresholding is true"},
      {"scheduler/scheduler_config.json", "num_train_timesteps", "4000", "allowed: 1 to"},
      {"model_index.json", "_class_name", "\"StableDiffusion3Pipeline\"",
       "StableDiffusion3Pipeline"},
      {"model_index.json", "_class_name", "\"StableDiffusionXLPipeline\"", "text_encoder_2"},
      {"model_index.json", "text_encoder_2", "[\"transformers\", \"T5EncoderModel\"]",
       "text_encoder_2"},
      {"model_index.json", "text_encoder_2", "[\"transformers\", \"CLIPTextModelWithProjection\"]",
       "no text_encoder_2"},
      {"model_index.json", "text_encoder", "[null, null]", "this pipeline has a text_encoder"},
      {"model_index.json", "tokenizer", "[null, null]", "tokenizer is missing"},
      {"model_index.json", "requires_aesthetics_score", "true", "implemented for sd1: false"},
  };
  struct family family;
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    change(rows[i].file, rows[i].key, rows[i].value);
    assert_refused(family_read(scratch(), &family), rows[i].reason);
    assert_string_equal(fail_field_name(), "config");
    if (strstr(fail_reason(), rows[i].file) == NULL) {
      fail_msg("%s is not named in %s", rows[i].file, fail_reason());
    }
  }
}

/* Every class of scheduler at the defaults that diffusers writes for it. */
static void schedulers_of_diffusers(void **state) {
  (void)state;
  json_t *goldens = NULL, *text = NULL;
  const char *class = NULL;
  assert_ok(config_json_file(TINY_GOLDENS, "goldens.json", CONFIG_BYTES_MAX, &goldens));
  json_object_foreach(json_object_get(goldens, "schedulers"), class, text) {
    struct family family;
    char path[256];
    change(NULL, NULL, NULL);
    snprintf(path, sizeof path, "%s/scheduler/scheduler_config.json", scratch());
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fputs(json_string_value(text), file);
    fclose(file);
    assert_ok(family_read(scratch(), &family));
    assert_int_equal(family.noise.train_timesteps, 1000);
    bool leading = strstr("DDIMScheduler DDPMScheduler LCMScheduler PNDMScheduler TCDScheduler",
                          class) != NULL;
    assert_int_equal(family.noise.spacing, leading ? SPACING_LEADING : SPACING_LINSPACE);
  }
  assert_int_equal(json_object_size(json_object_get(goldens, "schedulers")), 11);
  json_decref(goldens);
}

static void files_that_are_wrong(void **state) {
  (void)state;
  struct family family;
  assert_refused(family_read("/nonexistent", &family), "model_index.json");
  change(NULL, NULL, NULL);
  char path[256];
  snprintf(path, sizeof path, "%s/vae/config.json", scratch());
  assert_int_equal(unlink(path), 0);
  assert_refused(family_read(scratch(), &family), "vae/config.json");
  char nothing[1];
  static const struct config_key table[] = {{"a", .kind = CONFIG_ANY}, {.key = NULL}};
  assert_refused(config_parse("x", "{\"a\":1,\"a\":2}", 13, table, nothing), "duplicate");
  assert_refused(config_parse("x", "{\"a\":[[[[[[[[1]]]]]]]]}", 23, table, nothing), "nested");
  assert_refused(config_parse("x", "{\"a\":NaN}", 9, table, nothing), "line 1");
  assert_ok(config_parse("x", "{\"a\":-Infinity}", 15, table, nothing));
  assert_ok(config_parse("x", "{\"a\":\"-Infinity\"}", 17, table, nothing));
  assert_ok(config_parse("x", "{\"a\":1000000000000000019884624838656}", 37, table, nothing));
}

static int remove_folder(void **state) {
  (void)state;
  char command[256];
  snprintf(command, sizeof command, "rm -rf %s", scratch());
  tiny_shell(command);
  return 0;
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(facts_of_the_tiny_model), cmocka_unit_test(values_that_are_accepted),
      cmocka_unit_test(facts_of_every_family),   cmocka_unit_test(values_of_xl_that_are_refused),
      cmocka_unit_test(values_that_are_refused), cmocka_unit_test(schedulers_of_diffusers),
      cmocka_unit_test(files_that_are_wrong),    cmocka_unit_test(the_index_says_whose_tokenizer),
  };
  return cmocka_run_group_tests_name("family", tests, NULL, remove_folder);
}
