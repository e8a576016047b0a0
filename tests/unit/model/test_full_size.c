/* test_full_size.c - every tensor of Stable Diffusion 1.5 by name and shape, against diffusers,
 * without weights. */
#include <openssl/evp.h>

#include "kernels/backend.h"
#include "tests/unit/model/tiny.h"
#include "worker/model/clip.h"
#include "worker/model/unet.h"
#include "worker/model/vae_tiles.h"
/* takes the place of weights.c, so last */
#include "tests/unit/model/fake_weights.h"

#define CONFIGS "tests/model/sd15"

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
  struct family family;
  struct loader loader;
  json_t *goldens;
};

static int open_fixture(void **state) {
  struct fixture *fixture = calloc(1, sizeof *fixture);
  assert_ok(device_open("ref", &(struct device_settings){.threads = 1}, &fixture->device));
  fixture->backend = *fixture->device->backend;
  fixture->backend.ops.pack = pack_head;
  fixture->backend.weight_close = close_head;
  fixture->device->backend = &fixture->backend;
  fixture->loader.device = fixture->device;
  assert_ok(arena_open(NULL, (size_t)1 << 30, &fixture->loader.host));
  assert_ok(arena_open(NULL, (size_t)1 << 30, &fixture->loader.scratch));
  assert_ok(device_arena(fixture->device, (size_t)1 << 30, &fixture->loader.on_device));
  fixture->loader.network = NETWORK_NONE;
  assert_ok(family_read(CONFIGS, &fixture->family));
  assert_ok(config_json_file(TINY_GOLDENS, "goldens.json", CONFIG_BYTES_MAX, &fixture->goldens));
  fake_weights_start();
  *state = fixture;
  return 0;
}

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
  const json_t *want = json_object_get(json_object_get(fixture->goldens, "sd15"), network);
  char sum[65];
  print_message("%s: %d tensors, %.2f M values\n", network, fake.tensors, (double)fake.count / 1e6);
  assert_int_equal(fake.tensors, (int)json_number_value(json_object_get(want, "tensors")));
  assert_int_equal(fake.count, (int64_t)json_number_value(json_object_get(want, "values")));
  lines_sum(sum);
  assert_string_equal(sum, json_string_value(json_object_get(want, "sha256")));
}

static void text_encoder(void **state) {
  struct fixture *fixture = *state;
  struct clip clip;
  assert_ok(clip_load(&fixture->loader, &fixture->family.clip[0], &clip));
  assert_same_tensors(fixture, "text_encoder");
}

static void unet(void **state) {
  struct fixture *fixture = *state;
  struct unet network;
  assert_ok(unet_load(&fixture->loader, &fixture->family.unet, &network));
  assert_same_tensors(fixture, "unet");
  assert_int_equal(network.half.context_columns, 2 * (5 * 320 + 5 * 640 + 6 * 1280));
}

static void vae_decoder(void **state) {
  struct fixture *fixture = *state;
  struct vae vae;
  assert_ok(vae_load(&fixture->loader, &fixture->family.vae, true, &vae));
  assert_same_tensors(fixture, "vae");
}

/* What a picture of 2048x2048 takes of a GPU's or a CPU's memory in 16 bits: at once, and a tile a
 * turn. */
static void large_decode(void **state) {
  struct fixture *fixture = *state;
  struct vae vae;
  struct arena *arena = NULL;
  size_t bytes[2];
  assert_ok(vae_load(&fixture->loader, &fixture->family.vae, true, &vae));
  for (int i = 0; i < 2; i++) {
    assert_ok(pass_dry_arena(&arena));
    struct pass pass = {
        .device = fixture->device, .arena = arena, .element = ELEMENT_BF16, .dry = true};
    struct tensor latents = {.element = ELEMENT_BF16, .rank = 4, .shape = {1, 256, 256, 4}};
    struct tensor picture = {.element = ELEMENT_F32, .rank = 4, .shape = {1, 2048, 2048, 3}};
    struct vae_turns turns = {0};
    assert_ok(i == 0 ? vae_run(&pass, &vae, &latents, &picture)
                     : vae_tiles_run(&pass, &vae, &latents, &picture, &turns));
    bytes[i] = arena_peak(arena);
    print_message("2048x2048: %zu MiB in %d turns\n", bytes[i] >> 20, (int)turns.all);
    arena_close(&arena);
  }
  assert_true(bytes[1] < (size_t)3 << 30);
  assert_true(bytes[1] < bytes[0] / 2);
}

int main(void) {
#define WITH_FIXTURE(test) cmocka_unit_test_setup_teardown(test, open_fixture, close_fixture)
  const struct CMUnitTest tests[] = {WITH_FIXTURE(text_encoder), WITH_FIXTURE(unet),
                                     WITH_FIXTURE(vae_decoder), WITH_FIXTURE(large_decode)};
  return cmocka_run_group_tests_name("full size", tests, NULL, NULL);
}
