/* test_cuda_faults.c - which device a name means, and what is said when there is none, when memory
 * is short and when the device breaks. Each case is a process of its own: CUDA looks about itself
 * once. */
#include "tests/unit/kernels/cuda_device.h"

#include "kernels/queue.h"

/* Skips where there is no emulation to ask such things of. */
static void need_emulation(void) {
  struct device *device = open_cuda(NULL);
  struct device_info info;
  MUST(device_describe(device, &info));
  device_close(&device);
  if (strstr(info.model, "mulat") == NULL) {
    print_message("skipped: %s is no emulation\n", info.model);
    skip();
  }
}

/* The case's test runs again with these settings, there `again` is true. */
static bool again_with(const char *test, const char *first, const char *second) {
  if (is_again()) {
    return true;
  }
  need_emulation();
  run_again(test, (const char *const[]){first, second, NULL});
  return false;
}

static void refused(const char *name, enum status wanted, const char *word) {
  struct device *device = NULL;
  enum status status = device_open(name, NULL, &device);
  if (status != wanted || strstr(fail_reason(), word) == NULL ||
      strchr(fail_reason(), '\n') != NULL) {
    WRONG("%s: %s %s, instead of %s with \"%s\"", name, status_name(status), fail_reason(),
          status_name(wanted), word);
  }
  assert_null(device);
}

/* ---- who is there ---- */

static void test_no_device(void **state) {
  (void)state;
  if (again_with("test_no_device", "EMULATION_DEVICES=0", NULL)) {
    refused("cuda:0", UNAVAILABLE, "no NVIDIA driver");
    refused("cuda", UNAVAILABLE, "no NVIDIA driver");
  }
}

static void test_a_number_beyond_the_last(void **state) {
  (void)state;
  if (again_with("test_a_number_beyond_the_last", "EMULATION_DEVICES=2", NULL)) {
    refused("cuda:2", UNAVAILABLE, "the last is cuda:1");
    struct device *device = open_cuda(NULL);
    device_close(&device);
  }
}

static void test_a_device_that_is_too_old(void **state) {
  (void)state;
  if (again_with("test_a_device_that_is_too_old", "EMULATION_CAPABILITY=75", NULL)) {
    refused("cuda:0", UNAVAILABLE, "has compute capability 7.5, 8.0 or newer is needed");
  }
}

/* Both are there at first sight, so each can be found by its UUID, or the beginning of it. */
static void test_uuids(void **state) {
  (void)state;
  if (!again_with("test_uuids", "EMULATION_DEVICES=2", NULL)) {
    return;
  }
  struct device_info info[2], found;
  struct device *device = NULL;
  for (int i = 0; i < 2; i++) {
    MUST(device_open(i == 0 ? "cuda:0" : "cuda:1", NULL, &device));
    MUST(device_describe(device, &info[i]));
    device_close(&device);
    assert_memory_equal(info[i].uuid, "GPU-", 4);
    assert_int_equal(strlen(info[i].uuid), 40);
  }
  assert_string_not_equal(info[0].uuid, info[1].uuid);
  for (int i = 0; i < 2; i++) {
    char name[80];
    snprintf(name, sizeof name, "cuda:%s", info[i].uuid);
    MUST(device_open(name, NULL, &device));
    assert_string_equal(device_name(device), name);
    MUST(device_describe(device, &found));
    assert_string_equal(found.uuid, info[i].uuid);
    device_close(&device);
  }
  refused("cuda:GPU-", BAD_INPUT, "several devices");
  refused("cuda:GPU-01234567-0123-0123-0123-0123456789ab", UNAVAILABLE, "has this UUID");
  refused("cuda:MIG-01234567-0123-0123-0123-0123456789ab", UNAVAILABLE, "has this UUID");
}

static void test_what_a_device_tells_of_itself(void **state) {
  (void)state;
  struct device *device = open_cuda(NULL);
  struct device_info info;
  MUST(device_describe(device, &info));
  assert_true(info.model[0] != '\0' && info.driver[0] != '\0');
  assert_non_null(strstr(info.runtime, "CUDA "));
  assert_true(info.capability >= 80 && info.memory_total >= device_memory_total(device));
  assert_int_equal(device_element_for(device, PRECISION_FAST), ELEMENT_F16);
  assert_int_equal(device_element_for(device, PRECISION_RANGE), ELEMENT_BF16);
  assert_int_equal(device_element_for(device, PRECISION_EXACT), ELEMENT_F32);
  device_close(&device);
  device = open_cuda(&(struct device_settings){.force_f32 = true});
  assert_int_equal(device_element_for(device, PRECISION_FAST), ELEMENT_F32);
  assert_int_equal(device_element_for(device, PRECISION_RANGE), ELEMENT_F32);
  device_close(&device);
}

/* ---- what breaks ---- */

static void test_memory_that_the_driver_refuses(void **state) {
  (void)state;
  if (again_with("test_memory_that_the_driver_refuses", "EMULATION_FAULT=malloc:1", NULL)) {
    refused("cuda:0", EXHAUSTED, "cudaMalloc");
    struct device *device = open_cuda(NULL); /* it was only memory */
    device_close(&device);
  }
}

static void test_pinned_memory_that_the_driver_refuses(void **state) {
  (void)state;
  if (again_with("test_pinned_memory_that_the_driver_refuses", "EMULATION_FAULT=pin:1", NULL)) {
    refused("cuda:0", EXHAUSTED, "cudaHostAlloc");
    struct device *device = open_cuda(NULL);
    device_close(&device);
  }
}

/* The op, or whatever asks next, tells; and then everything does, in the same words. */
static void test_a_broken_device_stays_broken(void **state) {
  (void)state;
  if (!again_with("test_a_broken_device_stays_broken", "EMULATION_FAULT=launch:3", NULL)) {
    return;
  }
  struct device *device = open_cuda(NULL);
  struct arena *arena = NULL;
  struct tensor x, y;
  struct event *event = NULL;
  char first[FAIL_REASON_MAX];
  float values[64] = {0};
  bool passed;
  MUST(device_arena(device, 1 << 20, &arena));
  MUST(tensor_take(arena, ELEMENT_F16, TENSOR_SHAPE(1, 4, 4, 4), &x));
  MUST(tensor_take(arena, ELEMENT_F16, TENSOR_SHAPE(1, 8, 8, 4), &y));
  MUST(event_open(device, &event));
  enum status status = OK;
  for (int i = 0; i < 3 && status == OK; i++) {
    status = op_upsample(device, &x, &y);
  }
  status = status != OK ? status : device_wait(device);
  assert_int_equal(status, BROKEN);
  snprintf(first, sizeof first, "%s", fail_reason());
  assert_memory_equal(first, "cuda:0: ", 8);
  assert_non_null(strstr(first, "cudaError"));
  assert_int_equal(op_upsample(device, &x, &y), BROKEN);
  assert_string_equal(fail_reason(), first);
  assert_int_equal(device_put(device, values, tensor_bytes(&x), &x), BROKEN);
  assert_int_equal(device_get(device, &x, values, tensor_bytes(&x)), BROKEN);
  assert_int_equal(event_record(event), BROKEN);
  assert_int_equal(event_poll(event, &passed), BROKEN);
  assert_int_equal(event_wait(event), BROKEN);
  assert_int_equal(device_wait(device), BROKEN);
  struct device_info info;
  assert_int_equal(device_describe(device, &info), BROKEN);
  assert_string_equal(fail_reason(), first);
  event_close(&event);
  arena_close(&arena);
  device_close(&device);
}

int main(int count, char **words) {
  choose_test(count, words);
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_no_device),
      cmocka_unit_test(test_a_number_beyond_the_last),
      cmocka_unit_test(test_a_device_that_is_too_old),
      cmocka_unit_test(test_uuids),
      cmocka_unit_test(test_what_a_device_tells_of_itself),
      cmocka_unit_test(test_memory_that_the_driver_refuses),
      cmocka_unit_test(test_pinned_memory_that_the_driver_refuses),
      cmocka_unit_test(test_a_broken_device_stays_broken),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
