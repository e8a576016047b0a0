/* test_cuda_cases.c - every row of tests/cases/cases.def on a cuda device: in f16, bf16 and f32, by
 * the libraries where they serve, and by our own kernels alone. */
#include "tests/unit/kernels/agree.h"
#include "tests/unit/kernels/cuda_device.h"

#define MEMORY ((size_t)288 << 20) /* of each subject: they are open together */

/* The same device, asked in different ways. */
static const struct subject {
  const char *own; /* DARKROOM_CUDA_OWN */
  bool force_f32;
  enum precision precision; /* of cases that do not give one */
} subjects[] = {
    {"0", false, PRECISION_FAST}, {"0", false, PRECISION_RANGE}, {"0", true, PRECISION_FAST},
    {"1", false, PRECISION_FAST}, {"1", false, PRECISION_RANGE}, {"1", true, PRECISION_FAST},
};
enum { SUBJECTS = sizeof subjects / sizeof subjects[0] };

static struct device *open_subject(const struct subject *subject) {
  setenv("DARKROOM_CUDA_OWN", subject->own, 1);
  const struct device_settings settings = {.force_f32 = subject->force_f32, .memory_max = MEMORY};
  struct device *device = open_cuda(&settings);
  unsetenv("DARKROOM_CUDA_OWN");
  return device;
}

static struct op_case case_of(const struct subject *subject, int i) {
  struct op_case c = op_cases[i];
  c.precision = c.precision == PRECISION_FAST ? subject->precision : c.precision;
  return c;
}

/* The emulation takes its time: some 2 ns for a multiply-add of 16 bits, ten times that for f32,
 * which goes through plain ones, and as much again for pixels whose few channels leave a tile
 * empty. */
static bool is_large(const struct op_case *c) {
  return case_operations(c, 1) > 5e7 || c->height * c->width > 32 * 32;
}

/* Whether no other subject has run the very same code: only these ops are asked of a library. */
static bool is_worth(const struct subject *subject, const struct op_case *c) {
  static const char *const of_libraries[] = {"matmul", "conv2d", "attention", "upsample_conv"};
  bool asked = false;
  for (size_t i = 0; i < sizeof of_libraries / sizeof of_libraries[0]; i++) {
    asked = asked || strcmp(c->op, of_libraries[i]) == 0;
  }
  return c->place == CASE_TEST && (asked || strcmp(subject->own, "0") == 0) &&
         !(subject->force_f32 && is_large(c));
}

static void test_every_case_agrees_with_ref(void **state) {
  (void)state;
  struct device *ref = NULL, *devices[SUBJECTS];
  for (int s = 0; s < SUBJECTS; s++) {
    devices[s] = open_subject(&subjects[s]);
  }
  MUST(device_open("ref", NULL, &ref));
  for (int i = 0; i < op_case_count; i++) {
    if (op_cases[i].place != CASE_TEST) {
      continue;
    }
    struct output wanted = output_of(ref, &op_cases[i], op_cases[i].batch, in_order);
    for (int s = 0; s < SUBJECTS; s++) {
      struct op_case c = case_of(&subjects[s], i);
      if (is_worth(&subjects[s], &c)) {
        compare_with(&wanted, devices[s], &c);
      }
    }
    free(wanted.bytes);
  }
  for (int s = 0; s < SUBJECTS; s++) {
    device_close(&devices[s]);
  }
  device_close(&ref);
}

/* Of what decides bits, types of 16 bits are alike. gpu-check tries all of it, among 1 to 16. */
static void test_a_row_does_not_depend_on_its_batch_mates(void **state) {
  (void)state;
  for (int s = 0; s < SUBJECTS; s++) {
    const struct subject *subject = &subjects[s];
    bool f32_twice = subject->force_f32 && strcmp(subject->own, "0") == 0;
    if (subject->precision != PRECISION_FAST || f32_twice) {
      continue;
    }
    struct device *device = open_subject(subject);
    for (int i = 0; i < op_case_count; i++) {
      struct op_case c = case_of(subject, i);
      if (is_worth(subject, &c) && !is_large(&c)) {
        struct output alone = output_of(device, &c, 1, in_order);
        compare_among(device, &c, 3, 1, alone.bytes);
        free(alone.bytes);
      }
    }
    device_close(&device);
  }
}

int main(int count, char **words) {
  choose_test(count, words);
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_every_case_agrees_with_ref),
      cmocka_unit_test(test_a_row_does_not_depend_on_its_batch_mates),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
