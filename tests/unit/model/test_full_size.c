/* test_full_size.c - every tensor of Stable Diffusion 1.5, 2.1, XL and XL's refiner by name and
 * shape, against diffusers, without weights. */
#include <openssl/evp.h>

#include "kernels/backend.h"
#include "tests/unit/model/tiny.h"
#include "worker/model/clip.h"
#include "worker/model/control_inside.h"
#include "worker/model/unet.h"
#include "worker/model/vae_encode_tiles.h"
#include "worker/model/vae_tiles.h"
/* takes the place of weights.c, so last */
#include "tests/unit/model/fake_weights.h"

#define CONFIGS "tests/model/"

/* Packs nothing: what is asked of weights is all that this test looks at. */
static enum status pack_head(struct device *device, const struct weight_source *source,
                             struct weight **out) {
  *out = malloc(sizeof **out);
  assert_non_null(*out);
  **out = weight_head(device, source);
  return OK;
}
static void close_head(struct weight *weight) { free(weight); }

struct fixture {
  struct device *device;
  struct backend backend;
  const char *model;
  struct family family;
  struct loader loader;
  json_t *goldens;
};

static int open_model(void **state, const char *model) {
  struct fixture *fixture = calloc(1, sizeof *fixture);
  char folder[64];
  snprintf(folder, sizeof folder, CONFIGS "%s", model);
  fixture->model = model;
  assert_ok(device_open("ref", &(struct device_settings){.threads = 1}, &fixture->device));
  fixture->backend = *fixture->device->backend;
  fixture->backend.ops.pack = pack_head;
  fixture->backend.weight_close = close_head;
  fixture->device->backend = &fixture->backend;
  fixture->loader.device = fixture->device;
  assert_ok(arena_open(NULL, (size_t)1 << 30, &fixture->loader.host));
  assert_ok(arena_open(NULL, (size_t)1 << 30, &fixture->loader.scratch));
  assert_ok(device_arena(fixture->device, (size_t)1 << 30, &fixture->loader.on_device));
  assert_ok(family_read(folder, &fixture->family));
  assert_ok(config_json_file(TINY_GOLDENS, "full_size.json", CONFIG_BYTES_MAX, &fixture->goldens));
  fake_weights_start();
  fake.linear_projection = fixture->family.unet.linear_projection;
  fake.encoder = true;
  *state = fixture;
  return 0;
}
static int open_sd15(void **state) { return open_model(state, "sd15"); }
static int open_sd21(void **state) { return open_model(state, "sd21"); }
static int open_sdxl(void **state) { return open_model(state, "sdxl"); }
static int open_refiner(void **state) { return open_model(state, "sdxl-refiner"); }

static int close_fixture(void **state) {
  struct fixture *fixture = *state;
  packed_close(&fixture->loader.packed);
  arena_close(&fixture->loader.host);
  arena_close(&fixture->loader.scratch);
  arena_close(&fixture->loader.on_device);
  device_close(&fixture->device);
  json_decref(fixture->goldens);
  fake_weights_free();
  free(fixture);
  return 0;
}

static int by_text(const void *a, const void *b) {
  return strcmp(*(char *const *)a, *(char *const *)b);
}

/* sha256 of the lines in order. */
static void lines_sum(char *sum) {
  static char *line[4096];
  int count = 0;
  for (char *at = (char *)fake.lines.data; *at != '\0' && count < 4096; count++) {
    line[count] = at;
    at = strchr(at, '\n');
    *at++ = '\0';
  }
  qsort(line, (size_t)count, sizeof *line, by_text);
  EVP_MD_CTX *context = EVP_MD_CTX_new();
  uint8_t digest[32];
  EVP_DigestInit_ex(context, EVP_sha256(), NULL);
  for (int i = 0; i < count; i++) {
    EVP_DigestUpdate(context, line[i], strlen(line[i]));
    EVP_DigestUpdate(context, "\n", 1);
  }
  EVP_DigestFinal_ex(context, digest, NULL);
  EVP_MD_CTX_free(context);
  for (int i = 0; i < 32; i++) {
    snprintf(sum + 2 * i, 3, "%02x", digest[i]);
  }
}

static void assert_same_tensors(const struct fixture *fixture, const char *network) {
  const json_t *want = json_object_get(json_object_get(fixture->goldens, fixture->model), network);
  char sum[65];
  print_message("%s %s: %d tensors, %.2f M values\n", fixture->model, network, fake.tensors,
                (double)fake.count / 1e6);
  assert_int_equal(fake.tensors, (int)json_number_value(json_object_get(want, "tensors")));
  assert_int_equal(fake.count, (int64_t)json_number_value(json_object_get(want, "values")));
  lines_sum(sum);
  assert_string_equal(sum, json_string_value(json_object_get(want, "sha256")));
}

static void text_encoders(void **state) {
  struct fixture *fixture = *state;
  for (int i = 0; i < fixture->family.row->text_encoders; i++) {
    struct clip clip;
    fake_weights_start();
    assert_ok(clip_load(&fixture->loader, &fixture->family.clip[i], &clip));
    assert_same_tensors(fixture, fixture->family.row->place[i].encoder);
  }
}

/* Keys and values of all cross attention, per token: per level twice its channels for each
 * transformer layer. */
static int64_t context_columns(const struct unet_facts *facts) {
  int64_t columns = 2 * facts->channels[facts->levels - 1] *
                    facts->transformer_layers[facts->levels - 1]; /* the middle */
  for (int i = 0; i < facts->levels; i++) {
    int layers = facts->attention_down[i] * facts->layers_per_block +
                 facts->attention_up[facts->levels - 1 - i] * (facts->layers_per_block + 1);
    columns += 2 * (int64_t)facts->channels[i] * facts->transformer_layers[i] * layers;
  }
  return columns;
}

static void unet(void **state) {
  struct fixture *fixture = *state;
  struct unet network;
  assert_ok(unet_load(&fixture->loader, &fixture->family.unet, &network));
  assert_same_tensors(fixture, "unet");
  assert_int_equal(network.half.context_columns, context_columns(&fixture->family.unet));
}

static void vae_decoder(void **state) {
  struct fixture *fixture = *state;
  struct vae vae;
  assert_ok(vae_load(&fixture->loader, &fixture->family.vae, true, &vae));
  assert_same_tensors(fixture, "vae");
}

static void whole_vae(void **state) {
  struct fixture *fixture = *state;
  struct vae vae;
  assert_ok(vae_load(&fixture->loader, &fixture->family.vae, false, &vae));
  assert_same_tensors(fixture, "vae_whole");
}

/* The nets that go with these models, by the totals of diffusers' ControlNetModel with configs of
 * theirs. */
static void control_net(void **state) {
  static const struct {
    const char *model;
    int tensors, skips;
    int64_t values;
  } rows[] = {
      {"sd15", 340, 13, 361279120}, {"sd21", 340, 13, 364228240}, {"sdxl", 844, 10, 1251014160}};
  struct fixture *fixture = *state;
  struct control control = {.skips = 0};
  const struct model_source single = {.folder = ".", .file = "net.safetensors"};
  assert_ok(control_facts_read(&single, &fixture->family, &control.facts));
  control.facts.hint_levels = 4; /* such a file's own layers would be measured */
  memcpy(control.facts.hint_channels, (int[]){16, 32, 96, 256}, 4 * sizeof(int));
  assert_ok(control_facts_fit(&control.facts, &fixture->family));
  assert_ok(control_load(&fixture->loader, &control));
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    if (strcmp(rows[i].model, fixture->model) == 0) {
      assert_int_equal(fake.tensors, rows[i].tensors);
      assert_int_equal(fake.count, rows[i].values);
      assert_int_equal(control.skips, rows[i].skips);
      return;
    }
  }
  fail_msg("no totals for %s", fixture->model);
}

/* What a picture of 2048x2048 takes of a GPU's or a CPU's memory in 16 bits: at once, and a tile a
 * turn. */
static void large_way(struct fixture *fixture, bool encodes) {
  struct vae vae;
  struct arena *arena = NULL;
  size_t bytes[2];
  assert_ok(vae_load(&fixture->loader, &fixture->family.vae, !encodes, &vae));
  for (int i = 0; i < 2; i++) {
    assert_ok(pass_dry_arena(&arena));
    struct pass pass = {
        .device = fixture->device, .arena = arena, .element = ELEMENT_BF16, .dry = true};
    struct tensor latents = {.element = ELEMENT_BF16, .rank = 4, .shape = {1, 256, 256, 4}};
    struct tensor moments = {.element = ELEMENT_F32, .rank = 4, .shape = {1, 256, 256, 8}};
    struct tensor picture = {
        .element = encodes ? ELEMENT_BF16 : ELEMENT_F32, .rank = 4, .shape = {1, 2048, 2048, 3}};
    struct vae_turns turns = {0};
    assert_ok(i == 0    ? encodes ? vae_encode(&pass, &vae, &picture, &moments)
                                  : vae_run(&pass, &vae, &latents, &picture)
                 : encodes ? vae_encode_tiles_run(&pass, &vae, &picture, &moments, &turns)
                        : vae_tiles_run(&pass, &vae, &latents, &picture, &turns));
    bytes[i] = arena_peak(arena);
    print_message("%s of 2048x2048: %zu MiB in %d turns\n", encodes ? "encode" : "decode",
                  bytes[i] >> 20, (int)turns.all);
    arena_close(&arena);
  }
  assert_true(bytes[1] < (size_t)3 << 30);
  assert_true(bytes[1] < bytes[0] * 2 / 3);
}
static void large_decode(void **state) { large_way(*state, false); }
static void large_encode(void **state) { large_way(*state, true); }

int main(void) {
#define ON(test, model) cmocka_unit_test_setup_teardown(test, open_##model, close_fixture)
  const struct CMUnitTest tests[] = {
      ON(text_encoders, sd15), ON(unet, sd15),           ON(vae_decoder, sd15),
      ON(whole_vae, sd15),     ON(large_decode, sd15),   ON(text_encoders, sd21),
      ON(unet, sd21),          ON(vae_decoder, sd21),    ON(text_encoders, sdxl),
      ON(unet, sdxl),          ON(vae_decoder, sdxl),    ON(text_encoders, refiner),
      ON(unet, refiner),       ON(vae_decoder, refiner), ON(control_net, sd15),
      ON(control_net, sd21),   ON(control_net, sdxl),    ON(large_encode, sd15),
  };
  return cmocka_run_group_tests_name("full size", tests, NULL, NULL);
}
