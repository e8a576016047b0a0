/* test_single_headers.c - single files of full size, headers alone: every key has one name, none is
 * left over, parameters are as many as published, and the facts are those of the configs on the
 * hub.
 */
#include <math.h>

#include "tests/unit/model/tiny.h"
#include "worker/model/checkpoint.h"
#include "worker/model/family_guess.h"
#include "worker/model/weight_files.h"
#include "worker/model/weights.h"

#define NAMES_BYTES_MAX ((size_t)1 << 20)

static char folder[64];

static int make(void **state) {
  (void)state;
  char command[256];
  snprintf(folder, sizeof folder, "/tmp/darkroom-headers-%d", getpid());
  snprintf(command, sizeof command, "python3 tests/model/single_headers.py %s", folder);
  tiny_shell(command);
  return 0;
}

static int drop(void **state) {
  (void)state;
  char command[256];
  snprintf(command, sizeof command, "rm -rf %s", folder);
  tiny_shell(command);
  return 0;
}

/* Parameters in millions: engine totals that the real checkpoints have. */
static const struct expected {
  const char *file, *family;
  double unet, text, text_2;
  struct {
    int in_channels, cross_width, side, heads[4], transformers[4];
    int pooled;
  } facts;
  enum prediction prediction;
  bool assumed;
} models[] = {
    {"sd15",
     "sd1",
     859.52,
     123.06,
     0,
     {4, 768, 64, {8, 8, 8, 8}, {1, 1, 1, 1}, 0},
     PREDICTION_EPSILON,
     false},
    {"sd15-inpainting",
     "sd1",
     859.54,
     123.06,
     0,
     {9, 768, 64, {8, 8, 8, 8}, {1, 1, 1, 1}, 0},
     PREDICTION_EPSILON,
     false},
    {"sd21",
     "sd2",
     865.91,
     340.39,
     0,
     {4, 1024, 96, {5, 10, 20, 20}, {1, 1, 1, 1}, 0},
     PREDICTION_V,
     true},
    {"sdxl",
     "sdxl",
     2567.46,
     123.06,
     694.66,
     {4, 2048, 128, {5, 10, 20}, {1, 2, 10}, 1280},
     PREDICTION_EPSILON,
     false},
    {"refiner",
     "sdxl-refiner",
     2259.53,
     0,
     694.66,
     {4, 1280, 128, {6, 12, 24, 24}, {1, 4, 4, 4}, 1280},
     PREDICTION_EPSILON,
     false},
};
#define MODELS (sizeof models / sizeof *models)

static struct model_source source_of(const struct expected *model, char file[64]) {
  snprintf(file, 64, "%s.safetensors", model->file);
  return (struct model_source){.folder = folder, .file = file};
}

static void facts_are_those_of_the_configs(void **state) {
  (void)state;
  for (size_t i = 0; i < MODELS; i++) {
    const struct expected *want = &models[i];
    char file[64];
    struct model_source source = source_of(want, file);
    struct family family;
    assert_ok(family_look(&source, &family));
    assert_string_equal(family.row->name, want->family);
    assert_int_equal(family.unet.in_channels, want->facts.in_channels);
    assert_int_equal(family.unet.cross_width, want->facts.cross_width);
    assert_int_equal(family.unet.sample_side, want->facts.side);
    assert_int_equal(family.unet.addition.pooled, want->facts.pooled);
    assert_int_equal(family.unet.layers_per_block, 2);
    for (int level = 0; level < family.unet.levels; level++) {
      assert_int_equal(family.unet.heads[level], want->facts.heads[level]);
      assert_int_equal(family.unet.transformer_layers[level], want->facts.transformers[level]);
    }
    assert_int_equal(family.vae.channels[0], 128);
    assert_int_equal(family.vae.channels[3], 512);
    assert_int_equal(family.vae.layers_per_block, 2);
    assert_int_equal(family.scale_factor, 8);
    assert_int_equal(family.noise.prediction, want->prediction);
    assert_int_equal(family.prediction_assumed, want->assumed);
    source.prediction = "epsilon";
    assert_ok(family_look(&source, &family));
    assert_int_equal(family.noise.prediction, PREDICTION_EPSILON);
    assert_false(family.prediction_assumed);
  }
}

/* Of levels without a transformer a config may say what it likes. */
static void assert_same_unet(const struct unet_facts *found, struct unet_facts read) {
  for (int level = 0; level < read.levels - 1; level++) {
    if (!read.attention_down[level]) {
      read.transformer_layers[level] = found->transformer_layers[level];
    }
  }
  assert_memory_equal(found, &read, sizeof read);
}

/* What lies in the file as facts, against what the published configs say. */
static void a_single_file_is_what_the_folder_is(void **state) {
  (void)state;
  static const char *const folders[MODELS] = {"tests/model/sd15", NULL, "tests/model/sd21",
                                              "tests/model/sdxl", "tests/model/sdxl-refiner"};
  for (size_t i = 0; i < MODELS; i++) {
    char file[64];
    struct model_source source = source_of(&models[i], file);
    struct family found, read;
    if (folders[i] == NULL) {
      continue;
    }
    assert_ok(family_look(&source, &found));
    assert_ok(family_read(folders[i], &read));
    assert_ptr_equal(found.row, read.row);
    assert_same_unet(&found.unet, read.unet);
    assert_memory_equal(&found.vae, &read.vae, sizeof read.vae);
    for (int k = 0; k < read.row->text_encoders; k++) {
      assert_true(read.clip[k].end == 2 || read.clip[k].end == found.clip[k].end);
      read.clip[k].end = found.clip[k].end; /* old configs mean the same by 2 */
      assert_memory_equal(&found.clip[k], &read.clip[k], sizeof read.clip[k]);
    }
    assert_int_equal(found.noise.beta_schedule, read.noise.beta_schedule);
    assert_int_equal(found.noise.steps_offset, read.noise.steps_offset);
    assert_int_equal(found.noise.final_alpha, read.noise.final_alpha);
    assert_int_equal(found.noise.prediction, read.noise.prediction);
    assert_int_equal(found.noise.spacing, read.noise.spacing);
    assert_true(found.noise.beta_end == read.noise.beta_end);
    assert_int_equal(found.zeros_when_silent, read.zeros_when_silent);
  }
}

/* What a config may not say a file may not have either. */
static void strange_sides_are_refused(void **state) {
  (void)state;
  static const struct {
    const char *file, *reason;
  } rows[] = {
      {"long-text", "1000 positions in a text encoder, allowed are 3 to 77"},
      {"wide-guidance", "40000 numbers that tell the U-Net its guidance, allowed are 4 to 16384"},
      {"narrow-guidance", "2 numbers that tell the U-Net its guidance, allowed are 4 to 16384"},
      {"deep-transformer", "33 layers in a transformer, allowed are 1 to 32"},
      {"odd-vae", "250 channels in a level, not a multiple of 32"},
      {"wide-vae", "32768 channels in a level of the VAE, allowed are 1 to 16384"},
  };
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    struct expected model = {.file = rows[i].file};
    struct family family;
    char file[64];
    struct model_source source = source_of(&model, file);
    assert_int_equal(family_look(&source, &family), BAD_INPUT);
    if (strstr(fail_reason(), rows[i].reason) == NULL) {
      fail_msg("%s: %s", rows[i].file, fail_reason());
    }
  }
}

/* The line "NAME 3x4" of the network's index-th tensor. */
static void line_of(const struct weights *weights, const char *name, char line[640]) {
  size_t at = (size_t)snprintf(line, 640, "%s ", name);
  for (int i = 0; i < weights_rank(weights, name); i++) {
    at += (size_t)snprintf(line + at, 640 - at, i > 0 ? "x%lld" : "%lld",
                           (long long)weights_side(weights, name, i));
  }
}

/* Where the names say [C, C] the file may have a 1x1 convolution. */
static bool is_line(const char *line, const char *want, size_t bytes) {
  return strncmp(line, want, bytes) == 0 &&
         (line[bytes] == '\0' || strcmp(line + bytes, "x1x1") == 0);
}

/* The lines of that network in their order; gives the values that its tensors have. */
static int64_t compare(const struct weights *weights, enum network network, const char *names) {
  size_t index = 0, prefix = strlen(network_names[network]);
  int64_t values = 0;
  for (const char *at = names; *at != '\0'; at = strchr(at, '\n') + 1) {
    if (strncmp(at, network_names[network], prefix) != 0 || at[prefix] != ' ') {
      continue;
    }
    const char *want = at + prefix + 1, *name = weights_name(weights, index++);
    char line[640];
    assert_non_null(name);
    line_of(weights, name, line);
    if (!is_line(line, want, (size_t)(strchr(want, '\n') - want))) {
      fail_msg("%s, not %.*s", line, (int)(strchr(want, '\n') - want), want);
    }
    int64_t count = 1;
    for (int i = 0; i < weights_rank(weights, name); i++) {
      count *= weights_side(weights, name, i);
    }
    values += count;
  }
  assert_null(weights_name(weights, index));
  return values;
}

static void assert_millions(int64_t values, double millions) {
  if (fabs((double)values / 1e6 - millions) > 0.0051) {
    fail_msg("%.3f M, not %.2f M", (double)values / 1e6, millions);
  }
}

static void every_key_has_one_name(void **state) {
  (void)state;
  for (size_t i = 0; i < MODELS; i++) {
    const double millions[NETWORKS] = {[NETWORK_UNET] = models[i].unet,
                                       [NETWORK_VAE] = 83.65,
                                       [NETWORK_TEXT] = models[i].text,
                                       [NETWORK_TEXT_2] = models[i].text_2};
    char file[64], path[128];
    struct model_source source = source_of(&models[i], file);
    struct checkpoint *files = NULL;
    struct bytes names;
    bytes_open(&names, NAMES_BYTES_MAX);
    snprintf(path, sizeof path, "%s/%s.names", folder, models[i].file);
    assert_ok(bytes_read_file(&names, path));
    assert_ok(checkpoint_open(&source, &files));
    for (int network = 0; network < NETWORKS; network++) {
      struct weights *weights = NULL;
      if (millions[network] > 0) {
        assert_ok(weights_open_network(files, (enum network)network, &weights));
        assert_millions(compare(weights, (enum network)network, bytes_text(&names)),
                        millions[network]);
        weights_close(&weights);
      }
    }
    assert_ok(checkpoint_all_used(files)); /* no key belongs to nobody */
    checkpoint_close(&files);
    bytes_close(&names);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(facts_are_those_of_the_configs),
      cmocka_unit_test(a_single_file_is_what_the_folder_is),
      cmocka_unit_test(strange_sides_are_refused),
      cmocka_unit_test(every_key_has_one_name),
  };
  return cmocka_run_group_tests_name("single headers", tests, make, drop);
}
