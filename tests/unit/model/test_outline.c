/* test_outline.c - a model without its weights says the same of itself, and one that is loaded
 * beside other work is the same model. */
#include "tests/unit/model/tiny.h"
#include "worker/model/loader.h"
#include "worker/model/modules.h"

static const char *const names[] = {"tiny-eps", "tiny-v", "tiny-xl", "tiny-sd2"};
enum { NAMES = sizeof names / sizeof names[0] };

static struct device *open_device(void) {
  struct device *device = NULL;
  struct device_settings settings = {.threads = 1};
  assert_ok(device_open("cpu", &settings, &device));
  return device;
}

static void check_same(const struct model *outline, const struct model *whole) {
  assert_memory_equal(model_family(outline), model_family(whole), sizeof(struct family));
  for (int side = 8; side <= 32; side *= 2) {
    for (int rows = 1; rows <= 8; rows *= 2) {
      assert_int_equal(model_predict_bytes(outline, rows, side, side),
                       model_predict_bytes(whole, rows, side, side));
    }
    assert_int_equal(model_decode_bytes(outline, side, side),
                     model_decode_bytes(whole, side, side));
    assert_int_equal(model_encode_bytes(outline, side, side),
                     model_encode_bytes(whole, side, side));
  }
  assert_int_equal(model_condition_bytes(outline, 2), model_condition_bytes(whole, 2));
  assert_int_equal(model_condition_scratch_bytes(outline), model_condition_scratch_bytes(whole));
  assert_int_equal(model_encodes(outline), model_encodes(whole));
  assert_int_equal(modules_count(model_modules(outline)), modules_count(model_modules(whole)));
}

static void an_outline_says_what_the_model_says(void **state) {
  (void)state;
  struct device *device = open_device();
  for (int i = 0; i < NAMES; i++) {
    const struct model_source source = {.folder = tiny_folder(names[i])};
    struct model *outline = NULL, *whole = NULL;
    assert_ok(model_outline(device, &source, &outline));
    assert_int_equal(device_memory_used(device), 0);
    assert_ok(model_open(device, &source, &whole));
    check_same(outline, whole);
    print_message("%s: about %zu KiB, %zu KiB\n", names[i], model_bytes(outline) / 1024,
                  model_bytes(whole) / 1024);
    assert_true(model_bytes(outline) > model_bytes(whole) / 2);
    assert_true(model_bytes(outline) < model_bytes(whole) * 2);
    model_close(&whole);
    model_close(&outline);
    assert_int_equal(device_memory_used(device), 0);
  }
  device_close(&device);
}

/* Others use the device in each pause. */
struct beside {
  struct device *device;
  struct arena *arena; /* theirs */
  int pauses, refuse_at;
  bool reads;
};
static enum status between(void *context) {
  struct beside *beside = context;
  assert_false(beside->reads); /* who reads has nothing to pack */
  assert_non_null(arena_take(beside->arena, 1000));
  beside->pauses++;
  return beside->pauses == beside->refuse_at ? fail_field(UNAVAILABLE, "", "no more") : OK;
}
static void reads(void *context, bool reading) { ((struct beside *)context)->reads = reading; }

static enum status load_beside(struct beside *beside, struct model **out) {
  const struct model_source source = {.folder = tiny_folder("tiny-eps")};
  const struct loader_pauses pauses = {beside, between, reads};
  beside->reads = true;
  assert_ok(device_arena(beside->device, TINY_ARENA_BYTES, &beside->arena));
  return model_open_beside(beside->device, &source, &pauses, out);
}

static void what_others_take_meanwhile_is_not_its_own(void **state) {
  (void)state;
  const struct model_source source = {.folder = tiny_folder("tiny-eps")};
  struct beside beside = {.device = open_device()};
  struct model *alone = NULL, *model = NULL;
  assert_ok(model_open(beside.device, &source, &alone));
  size_t bytes = model_bytes(alone);
  assert_int_equal(device_memory_used(beside.device), bytes);
  model_close(&alone);
  assert_ok(load_beside(&beside, &model));
  assert_int_equal(model_bytes(model), bytes);
  assert_true(beside.pauses > 50); /* a layer each */
  model_close(&model);
  arena_close(&beside.arena);
  assert_int_equal(device_memory_used(beside.device), 0);
  device_close(&beside.device);
}

static void a_load_that_is_given_up_leaves_nothing(void **state) {
  (void)state;
  for (int at = 1; at < 200; at += 23) {
    struct beside beside = {.device = open_device(), .refuse_at = at};
    struct model *model = NULL;
    enum status status = load_beside(&beside, &model);
    assert_int_equal(status, beside.pauses < at ? OK : UNAVAILABLE);
    model_close(&model);
    arena_close(&beside.arena);
    assert_int_equal(device_memory_used(beside.device), 0);
    device_close(&beside.device);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(an_outline_says_what_the_model_says),
      cmocka_unit_test(what_others_take_meanwhile_is_not_its_own),
      cmocka_unit_test(a_load_that_is_given_up_leaves_nothing),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
