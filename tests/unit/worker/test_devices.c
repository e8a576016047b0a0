/* test_devices.c - what --device means on machines of all sorts: GPUs are rows of a list that the
 * test writes.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>
#undef fail /* cmocka has a macro of this name */

#include "worker/devices.h"

#define UUID_OF(kind, first) kind "-" first "0000-0000-4000-8000-000000000000"

static struct gpu_list machine;
static struct gpu_view view;
static struct worker_devices devices;

static void add(const char *uuid, int number, bool split, bool instance) {
  struct gpu *gpu = &machine.gpu[machine.count++];
  *gpu = (struct gpu){.number = number, .split = split, .instance = instance};
  snprintf(gpu->uuid, sizeof gpu->uuid, "%s", uuid);
}

/* Two GPUs, one of them cut into two, and a third. */
static int setup(void **state) {
  (void)state;
  machine.count = 0;
  add(UUID_OF("GPU", "aaaa"), 0, false, false);
  add(UUID_OF("GPU", "bbbb"), 1, true, false);
  add(UUID_OF("MIG", "b1b1"), 1, false, true);
  add(UUID_OF("MIG", "b2b2"), 1, false, true);
  add(UUID_OF("GPU", "aabb"), 2, false, false);
  gpu_view_make(&machine, NULL, &view);
  return 0;
}

/* The names that the words mean, with spaces between; the reason where they mean nothing. */
static const char *meaning(const char *words) {
  static char text[1024];
  char copy[256];
  const char *word[DEVICES_MAX];
  size_t count = 0;
  snprintf(copy, sizeof copy, "%s", words);
  for (char *rest = copy, *at = NULL; (at = strsep(&rest, " ")) != NULL;) {
    word[count++] = at;
  }
  if (devices_resolve(word, count, &view, &devices) != OK) {
    assert_string_equal(fail_field_name(), "device");
    return fail_reason();
  }
  text[0] = '\0';
  for (size_t i = 0; i < devices.count; i++) {
    size_t length = strlen(text);
    snprintf(text + length, sizeof text - length, "%s%s", i > 0 ? " " : "", devices.row[i].name);
  }
  return text;
}

static void only_known_names_are_taken(void **state) {
  (void)state;
  static const char *const good[] = {"cpu",      "ref",        "cuda:0",        "cuda:15",
                                     "cuda:all", "cuda:GPU-8", "cuda:MIG-91c2-"};
  static const char *const bad[] = {
      "",           "gpu",
      "cuda",       "cuda:",
      "cuda:16",    "cuda:-1",
      "cuda:0x1",   "cpu:0",
      "cuda:GPU-",  "cuda:GPU-xyz",
      "cuda:gpu-8", "cuda:ALL",
      "cuda:1,2",   "CUDA:0",
      "cuda:0 ",    "cuda:GPU-0123456789012345678901234567890123456789"};
  for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
    assert_int_equal(devices_check(good[i]), OK);
  }
  for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
    assert_int_equal(devices_check(bad[i]), BAD_INPUT);
    assert_string_equal(fail_field_name(), "device");
    assert_non_null(strstr(fail_reason(), bad[i]));
  }
  assert_true(devices_want_gpus((const char *const[]){"cpu", "cuda:0"}, 2));
  assert_false(devices_want_gpus((const char *const[]){"cpu", "ref"}, 2));
}

static void all_are_the_gpus_and_the_instances(void **state) {
  (void)state;
  assert_string_equal(meaning("cuda:all"), "cuda:0 cuda:" UUID_OF("MIG", "b1b1") " cuda:" UUID_OF(
                                               "MIG", "b2b2") " cuda:2");
  for (size_t i = 0; i < devices.count; i++) {
    assert_true(devices.row[i].own_memory);
    assert_string_equal(devices.row[i].open + strlen("cuda:"),
                        machine.gpu[devices.row[i].gpu].uuid);
  }
}

static void each_is_one_device_by_whatever_names(void **state) {
  (void)state;
  assert_string_equal(meaning("cuda:0 cuda:GPU-aaaa"), "cuda:0");
  assert_string_equal(meaning("cuda:GPU-AABB cuda:2 cpu"), "cuda:2 cpu");
  assert_string_equal(
      meaning("cuda:MIG-b2 cuda:all"),
      "cuda:" UUID_OF("MIG", "b2b2") " cuda:0 cuda:" UUID_OF("MIG", "b1b1") " cuda:2");
  assert_false(devices.count == 0);
  assert_string_equal(meaning("cpu ref"), "cpu ref");
  assert_int_equal(devices.row[0].gpu, DEVICES_NO_GPU);
  assert_false(devices.row[0].own_memory);
}

static void what_is_not_there_is_said(void **state) {
  (void)state;
  assert_non_null(strstr(meaning("cuda:3"), "this machine shows 3 GPUs"));
  assert_non_null(strstr(meaning("cuda:1"), "MIG has cut GPU-bbbb"));
  assert_non_null(strstr(meaning("cuda:GPU-bb"), "MIG has cut GPU-bbbb"));
  assert_non_null(strstr(meaning("cuda:GPU-aa"), "several"));
  assert_non_null(strstr(meaning("cuda:GPU-cc"), "none with such a UUID"));
  assert_non_null(strstr(meaning("cuda:MIG-aa"), "none with such a UUID"));
  machine.count = 0;
  gpu_view_make(&machine, NULL, &view);
  assert_non_null(strstr(meaning("cuda:all"), "no GPU"));
  assert_non_null(strstr(meaning("cpu cuda:all"), "no GPU"));
  add(UUID_OF("GPU", "bbbb"), 0, true, false);
  gpu_view_make(&machine, NULL, &view);
  assert_non_null(strstr(meaning("cpu cuda:all"), "MIG is on"));
}

static void a_worker_has_so_many_and_no_more(void **state) {
  (void)state;
  machine.count = 0;
  char uuid[GPU_UUID_BYTES_MAX];
  for (int i = 0; i <= DEVICES_MAX; i++) {
    snprintf(uuid, sizeof uuid, "GPU-%08x-0000-4000-8000-000000000000", (unsigned)i);
    add(uuid, i, false, false);
  }
  gpu_view_make(&machine, NULL, &view);
  assert_non_null(strstr(meaning("cuda:all"), "more than 16"));
  machine.count = DEVICES_MAX;
  gpu_view_make(&machine, NULL, &view);
  (void)meaning("cuda:all");
  assert_int_equal(devices.count, DEVICES_MAX);
  assert_string_equal(devices.row[DEVICES_MAX - 1].name, "cuda:15");
}

/* As CUDA reads it. */
static void hidden_gpus_are_not_there(void **state) {
  (void)state;
  gpu_view_make(&machine, "2,GPU-aaaa", &view);
  assert_string_equal(meaning("cuda:all"), "cuda:0 cuda:1");
  assert_string_equal(devices.row[0].open, "cuda:" UUID_OF("GPU", "aabb"));
  assert_string_equal(meaning("cuda:1"), "cuda:1");
  assert_string_equal(devices.row[0].open, "cuda:" UUID_OF("GPU", "aaaa"));
  gpu_view_make(&machine, "0,7,2", &view);
  assert_string_equal(meaning("cuda:all"), "cuda:0"); /* up to the first that is not there */
  gpu_view_make(&machine, "MIG-b2b2", &view);
  assert_string_equal(meaning("cuda:all"), "cuda:" UUID_OF("MIG", "b2b2"));
  gpu_view_make(&machine, "1", &view);
  (void)meaning("cuda:all");
  assert_int_equal(devices.count, 2); /* a GPU is seen with its instances */
  gpu_view_make(&machine, "", &view);
  assert_non_null(strstr(meaning("cuda:all"), "no GPU"));
  gpu_view_make(&machine, "-1", &view);
  assert_non_null(strstr(meaning("cuda:0"), "shows 0 GPUs"));
}

static void without_a_list_names_are_handed_on(void **state) {
  (void)state;
  gpu_view_make(NULL, NULL, &view);
  view.why = "libnvidia-ml.so.1 is not to be had";
  assert_string_equal(meaning("cuda:3 cuda:GPU-aa"), "cuda:3 cuda:GPU-aa");
  assert_string_equal(devices.row[0].open, "cuda:3");
  assert_non_null(strstr(meaning("cuda:all"), "libnvidia-ml.so.1 is not to be had"));
}

static void models_are_pinned_by_any_name(void **state) {
  (void)state;
  static const struct {
    const char *item, *name, *open;
    bool meant;
  } cases[] = {
      {"*", "cpu", "cpu", true},
      {"cpu", "cpu", "cpu", true},
      {"cuda", "cpu", "cpu", false},
      {"cuda:all", "cpu", "cpu", false},
      {"cuda", "cuda:1", "cuda:GPU-aabb", true},
      {"cuda:all", "cuda:1", "cuda:GPU-aabb", true},
      {"cuda:1", "cuda:1", "cuda:GPU-aabb", true},
      {"cuda:0", "cuda:1", "cuda:GPU-aabb", false},
      {"cuda:GPU-AA", "cuda:1", "cuda:GPU-aabb", true},
      {"cuda:GPU-ab", "cuda:1", "cuda:GPU-aabb", false},
      {"cuda:GPU-aabbcc", "cuda:GPU-aabb", "cuda:GPU-aabb", true}, /* nobody sees the rest */
      {"cuda:1", "cuda:12", "cuda:12", false},
      {"cuda:12", "cuda:1", "cuda:1", false},
      {"cuda:MIG-b1", "cuda:MIG-b1b1", "cuda:MIG-b1b1", true},
      {"cuda:GPU-b1", "cuda:MIG-b1b1", "cuda:MIG-b1b1", false},
  };
  for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
    assert_int_equal(
        device_is_meant(cases[i].item, strlen(cases[i].item), cases[i].name, cases[i].open),
        cases[i].meant);
  }
}

#define TEST(name) cmocka_unit_test_setup(name, setup)

int main(void) {
  const struct CMUnitTest tests[] = {
      TEST(only_known_names_are_taken),           TEST(all_are_the_gpus_and_the_instances),
      TEST(each_is_one_device_by_whatever_names), TEST(what_is_not_there_is_said),
      TEST(a_worker_has_so_many_and_no_more),     TEST(hidden_gpus_are_not_there),
      TEST(without_a_list_names_are_handed_on),   TEST(models_are_pinned_by_any_name),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
