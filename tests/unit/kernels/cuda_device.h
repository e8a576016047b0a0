/* cuda_device.h - a cuda device for a test, or its end as skipped; and the same test once more in a
 * process of its own, under other settings of the emulation, which are read when a process begins.
 */
#ifndef DARKROOM_TESTS_UNIT_KERNELS_CUDA_DEVICE_H
#define DARKROOM_TESTS_UNIT_KERNELS_CUDA_DEVICE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>
#undef fail /* cmocka has a macro of this name */

#include "kernels/backend.h"
#include "tests/unit/kernels/wrong.h"

#define MUST(call)                           \
  do {                                       \
    enum status must_status_ = (call);       \
    if (must_status_ != OK) {                \
      WRONG("%s: %s", #call, fail_reason()); \
    }                                        \
  } while (0)

/* settings NULL: little memory, for the emulation fills all that is reserved. */
static inline struct device *open_cuda(const struct device_settings *settings) {
  static const struct device_settings small = {.memory_max = (size_t)320 << 20};
  struct device *device = NULL;
  enum status status = device_open("cuda:0", settings != NULL ? settings : &small, &device);
  if (status == UNAVAILABLE) {
    print_message("skipped: %s\n", fail_reason());
    skip();
  }
  MUST(status);
  return device;
}

/* Whether this process is one that run_again started. */
static inline bool is_again(void) { return getenv("AGAIN") != NULL; }

/* Runs this program's test once more with NAME=VALUE settings, the last one NULL. */
static inline void run_again(const char *test, const char *const *settings) {
  fflush(NULL);
  pid_t child = fork();
  assert_true(child >= 0);
  if (child == 0) {
    setenv("AGAIN", "1", 1);
    for (int i = 0; settings[i] != NULL; i++) {
      char name[64];
      size_t length = strcspn(settings[i], "=");
      snprintf(name, sizeof name, "%.*s", (int)length, settings[i]);
      setenv(name, settings[i] + length + 1, 1);
    }
    execl("/proc/self/exe", "again", test, (char *)NULL);
    _exit(127);
  }
  int ended = 0;
  assert_int_equal(waitpid(child, &ended, 0), child);
  if (ended != 0) {
    WRONG("%s with %s and so on ended with %d", test, settings[0], ended);
  }
}

/* main's words: a test's name, to run that alone. */
static inline void choose_test(int count, char **words) {
  if (count > 1) {
    cmocka_set_test_filter(words[1]);
  }
}

/* Random numbers that are the same on every machine: splitmix64 (Steele et al. 2014). */
static inline uint64_t draw(uint64_t *state) {
  uint64_t z = *state += 0x9e3779b97f4a7c15;
  z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
  z = (z ^ z >> 27) * 0x94d049bb133111eb;
  return z ^ z >> 31;
}

#endif
