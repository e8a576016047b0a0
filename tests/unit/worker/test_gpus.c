/* test_gpus.c - GPUs as the driver's library tells of them, and a thread that hangs in it without
 * harm. The library is tests/emulation/nvml: what it says stands in a file of the test's.
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>
#undef fail /* cmocka has a macro of this name */

#include "base/clock.h"
#include "worker/gpus.h"
#include "worker/nvml.h"

enum { PATIENCE_MS = 20000 };

static char file[64]; /* what the library reads */
static struct gpus *gpus;

static void say(const char *lines) {
  char fresh[sizeof file + 4];
  snprintf(fresh, sizeof fresh, "%s.new", file);
  FILE *to = fopen(fresh, "w");
  assert_non_null(to);
  fputs(lines, to);
  fclose(to);
  assert_int_equal(rename(fresh, file), 0);
}

static int setup(void **state) {
  (void)state;
  snprintf(file, sizeof file, "/tmp/darkroom-nvml-XXXXXX");
  int fd = mkstemp(file);
  close(fd);
  setenv("EMULATION_NVML", file, 1);
  setenv("EMULATION_DEVICES", "3", 1);
  setenv("EMULATION_MEMORY", "1000000000", 1);
  return fd >= 0 ? 0 : -1;
}

static int teardown(void **state) {
  (void)state;
  unlink(file);
  gpus_close(&gpus);
  return 0;
}

/* ---- the library ---- */

static void gpus_are_listed_in_the_order_of_the_bus(void **state) {
  (void)state;
  struct nvml *nvml = NULL;
  static struct gpu_list list;
  assert_int_equal(nvml_open(&nvml), OK);
  assert_int_equal(nvml_list(nvml, &list), OK);
  assert_int_equal(list.count, 3);
  assert_string_equal(list.driver, "580.0.emulated");
  for (size_t i = 0; i < list.count; i++) {
    assert_int_equal(list.gpu[i].number, (int)i);
    assert_string_equal(list.gpu[i].model, "Emulated GPU");
    assert_int_equal(strlen(list.gpu[i].uuid), 40);
    assert_false(list.gpu[i].split || list.gpu[i].instance);
  }
  assert_string_not_equal(list.gpu[0].uuid, list.gpu[1].uuid);
  nvml_close(&nvml);
}

static void one_that_does_not_answer_is_left_out(void **state) {
  (void)state;
  struct nvml *nvml = NULL;
  static struct gpu_list list;
  say("1.lost 1\n");
  assert_int_equal(nvml_open(&nvml), OK);
  assert_int_equal(nvml_list(nvml, &list), OK);
  assert_int_equal(list.count, 2);
  nvml_close(&nvml);
}

static void instances_stand_behind_their_gpu(void **state) {
  (void)state;
  struct nvml *nvml = NULL;
  static struct gpu_list list;
  struct gpu_reading reading;
  say("1.mig 2\n");
  assert_int_equal(nvml_open(&nvml), OK);
  assert_int_equal(nvml_list(nvml, &list), OK);
  assert_int_equal(list.count, 5);
  assert_true(list.gpu[1].split && !list.gpu[1].instance);
  for (size_t i = 2; i < 4; i++) {
    assert_true(list.gpu[i].instance && !list.gpu[i].split);
    assert_memory_equal(list.gpu[i].uuid, "MIG-", 4);
    assert_int_equal(list.gpu[i].number, 1);
    assert_int_equal(nvml_read(nvml, &list.gpu[i], &reading), OK);
    assert_false(isnan(reading.temperature_celsius)); /* its GPU's */
    assert_true(isnan(reading.utilization));          /* which an instance has not */
  }
  assert_int_equal(list.gpu[4].number, 2);
  nvml_close(&nvml);
}

static void figures_come_in_base_units(void **state) {
  (void)state;
  struct nvml *nvml = NULL;
  static struct gpu_list list;
  struct gpu_reading reading;
  say("temperature 83\npower 650500\nsm_clock 1755\nmemory_clock 2619\nutilization 91\n"
      "memory_used 250000000\nslowed 64\n");
  assert_int_equal(nvml_open(&nvml), OK);
  assert_int_equal(nvml_list(nvml, &list), OK);
  assert_int_equal(nvml_read(nvml, &list.gpu[0], &reading), OK);
  const double wanted[] = {83, 650.5, 1755e6, 2619e6, 0.91, 250e6, 1e9, 1};
  const double read[] = {
      reading.temperature_celsius, reading.power_watts, reading.sm_hertz,
      reading.memory_hertz,        reading.utilization, reading.memory_used_bytes,
      reading.memory_total_bytes,  reading.slowed};
  for (size_t i = 0; i < sizeof wanted / sizeof wanted[0]; i++) {
    assert_true(fabs(read[i] - wanted[i]) < wanted[i] * 1e-9);
  }
  say("slowed 4\n"); /* a power cap is no illness */
  assert_int_equal(nvml_read(nvml, &list.gpu[0], &reading), OK);
  assert_true(reading.slowed == 0);
  say("0.lost 1\n");
  assert_int_equal(nvml_read(nvml, &list.gpu[0], &reading), UNAVAILABLE);
  assert_int_equal(nvml_read(nvml, &list.gpu[1], &reading), OK);
  nvml_close(&nvml);
}

/* ---- the thread ---- */

static void without_a_driver_it_says_so(void **state) {
  (void)state;
  say("driver 1\n");
  assert_int_equal(gpus_open(PATIENCE_MS, &gpus), UNAVAILABLE);
  assert_non_null(strstr(fail_reason(), "does not answer"));
  assert_null(gpus);
}

static bool looked(size_t row, bool lost, double celsius) {
  struct gpu_look look;
  gpus_look(gpus, row, &look);
  return look.read && look.lost == lost && (lost || look.reading.temperature_celsius == celsius);
}

#define WAIT_FOR(condition)                         \
  do {                                              \
    int64_t until_ms = clock_ms() + PATIENCE_MS;    \
    while (!(condition) && clock_ms() < until_ms) { \
      clock_sleep_ms(20);                           \
    }                                               \
    assert_true(condition);                         \
  } while (0)

static void what_is_followed_is_read_again_and_again(void **state) {
  (void)state;
  say("temperature 50\n");
  assert_int_equal(gpus_open(PATIENCE_MS, &gpus), OK);
  assert_int_equal(gpus_list(gpus)->count, 3);
  gpus_follow(gpus, (const size_t[]){0, 2}, 2);
  WAIT_FOR(looked(0, false, 50) && looked(2, false, 50));
  struct gpu_look look;
  gpus_look(gpus, 1, &look);
  assert_false(look.read);
  say("temperature 60\n2.lost 1\n");
  WAIT_FOR(looked(0, false, 60) && looked(2, true, 0));
}

static void an_xid_is_told_once(void **state) {
  (void)state;
  struct gpu_xid xid = {9, 9};
  bool told = false;
  assert_int_equal(gpus_open(PATIENCE_MS, &gpus), OK);
  say("2.xid 79\n");
  WAIT_FOR(told = told || gpus_take_xid(gpus, &xid));
  assert_int_equal(xid.gpu, 2);
  assert_int_equal(xid.number, 79);
  assert_false(gpus_take_xid(gpus, &xid));
}

static void a_library_that_hangs_is_left(void **state) {
  (void)state;
  say("hang 1\n");
  assert_int_equal(gpus_open(300, &gpus), UNAVAILABLE);
  assert_non_null(strstr(fail_reason(), "has not answered"));
  say("");
  assert_int_equal(gpus_open(PATIENCE_MS, &gpus), OK);
  say("0.hang 1\n");
  gpus_follow(gpus, (const size_t[]){0}, 1);
  struct gpu_look look;
  gpus_look(gpus, 0, &look); /* nobody waits for it, neither now nor at the end */
  gpus_close(&gpus);
  assert_null(gpus);
  say("");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

/* The loader reads where libraries are before main: so the program starts itself anew, once. */
static void find_library(char **arguments) {
  char program[512] = "", folder[600];
  if (getenv("TEST_GPUS_AGAIN") != NULL ||
      readlink("/proc/self/exe", program, sizeof program - 1) < 0) {
    return;
  }
  *strrchr(program, '/') = '\0';
  snprintf(folder, sizeof folder, "%s/../../emulation", program);
  setenv("LD_LIBRARY_PATH", folder, 1);
  setenv("TEST_GPUS_AGAIN", "1", 1);
  execv("/proc/self/exe", arguments);
}

int main(int argc, char **argv) {
  (void)argc;
  find_library(argv);
  const struct CMUnitTest tests[] = {
      TEST(gpus_are_listed_in_the_order_of_the_bus),
      TEST(one_that_does_not_answer_is_left_out),
      TEST(instances_stand_behind_their_gpu),
      TEST(figures_come_in_base_units),
      TEST(without_a_driver_it_says_so),
      TEST(what_is_followed_is_read_again_and_again),
      TEST(an_xid_is_told_once),
      TEST(a_library_that_hangs_is_left),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
