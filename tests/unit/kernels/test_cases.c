/* test_cases.c - every row of tests/cases/cases.def: each backend against ref, and each row against
 * itself in other batches. */
#include "tests/unit/kernels/agree.h"

/* The devices under test; one that is not there is skipped. */
static const struct subject {
  const char *device;
  struct device_settings settings;
} subjects[] = {
    {"ref", {0}},
    {"cpu", {0}},
    {"cpu", {.force_f32 = true}},
};
enum { SUBJECTS = sizeof subjects / sizeof subjects[0] };

static struct device *open_subject(const struct subject *subject) {
  struct device *device = NULL;
  enum status status = device_open(subject->device, &subject->settings, &device);
  assert_true(status == OK || status == UNAVAILABLE);
  return device;
}

static void test_every_case_agrees_with_ref(void **state) {
  (void)state;
  struct device *devices[SUBJECTS];
  for (int s = 0; s < SUBJECTS; s++) {
    devices[s] = open_subject(&subjects[s]);
  }
  for (int i = 0; i < op_case_count; i++) {
    if (op_cases[i].place != CASE_TEST) {
      continue;
    }
    struct output ref = output_of(devices[0], &op_cases[i], op_cases[i].batch, in_order);
    for (int s = 1; s < SUBJECTS; s++) {
      if (devices[s] != NULL) {
        compare_with(&ref, devices[s], &op_cases[i]);
      }
    }
    free(ref.bytes);
  }
  for (int s = 0; s < SUBJECTS; s++) {
    device_close(&devices[s]);
  }
}

static void test_a_row_does_not_depend_on_its_batch_mates(void **state) {
  (void)state;
  static const struct {
    int batch, place;
  } among[] = {{2, 1}, {3, 0}, {2, 0}, {5, 4}, {8, 3}, {16, 11}};
  for (int s = 0; s < SUBJECTS; s++) {
    struct device *device = open_subject(&subjects[s]);
    int sizes =
        strcmp(subjects[s].device, "ref") == 0 ? 2 : 6; /* ref is slow, and plainly has no batch */
    for (int i = 0; device != NULL && i < op_case_count; i++) {
      if (op_cases[i].place != CASE_TEST) {
        continue;
      }
      struct output alone = output_of(device, &op_cases[i], 1, in_order);
      for (int k = 0; k < sizes; k++) {
        compare_among(device, &op_cases[i], among[k].batch, among[k].place, alone.bytes);
      }
      free(alone.bytes);
    }
    device_close(&device);
  }
}

static void test_every_slot_has_cases(void **state) {
  (void)state;
  static const char *const slots[] = {
#define NAME(name, parameters) #name,
      OPS(NAME)
#undef NAME
  };
  for (int s = 0; s < OPS_COUNT; s++) {
    bool found = strcmp(slots[s], "pack") == 0; /* every matmul and conv2d case packs */
    for (int i = 0; i < op_case_count; i++) {
      found = found || (op_cases[i].place == CASE_TEST && strcmp(op_cases[i].op, slots[s]) == 0);
    }
    if (!found) {
      WRONG("no test case for op %s", slots[s]);
    }
  }
}

int main(int count, char **words) {
  (void)count;
  device_calm_threads(words);
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_every_slot_has_cases),
      cmocka_unit_test(test_every_case_agrees_with_ref),
      cmocka_unit_test(test_a_row_does_not_depend_on_its_batch_mates),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
