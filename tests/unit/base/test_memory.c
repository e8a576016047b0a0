/* test_memory.c - limits of control groups are found where kernels and container engines put them:
 * trees of files as they lay on real machines. */
#include "base/memory.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#define MIB ((uint64_t)1024 * 1024)

static char root[64];

/* Makes a file and the folders above it. */
static void put(const char *path, const char *text) {
  char whole[1024];
  snprintf(whole, sizeof whole, "%s%s", root, path);
  for (char *at = strchr(whole + strlen(root) + 1, '/'); at != NULL; at = strchr(at + 1, '/')) {
    *at = '\0';
    mkdir(whole, 0700);
    *at = '/';
  }
  FILE *file = fopen(whole, "we");
  assert_non_null(file);
  fputs(text, file);
  fclose(file);
}

static int setup(void **state) {
  (void)state;
  snprintf(root, sizeof root, "/tmp/darkroom-memory-XXXXXX");
  return mkdtemp(root) != NULL ? 0 : -1;
}

static int teardown(void **state) {
  (void)state;
  char command[128];
  snprintf(command, sizeof command, "rm -r %s", root);
  FILE *shell = popen(command, "re");
  return shell != NULL && pclose(shell) == 0 ? 0 : -1;
}

static struct memory look(void) {
  struct memory memory;
  memory_look(root, &memory);
  return memory;
}

static void a_machine_without_groups(void **state) {
  (void)state;
  assert_int_equal(look().machine, MEMORY_UNLIMITED);
  put("/proc/meminfo", "MemTotal:       24684096 kB\nMemFree: 5 kB\nMemAvailable:   2048 kB\n");
  struct memory memory = look();
  assert_int_equal(memory.machine, 2 * MIB);
  assert_int_equal(memory.group, MEMORY_UNLIMITED);
  assert_string_equal(memory.group_path, "");
}

static void put_second(const char *group, const char *max, const char *current, const char *cache) {
  char path[256], text[256];
  snprintf(path, sizeof path, "/sys/fs/cgroup%s/memory.max", group);
  put(path, max);
  snprintf(path, sizeof path, "/sys/fs/cgroup%s/memory.current", group);
  put(path, current);
  snprintf(path, sizeof path, "/sys/fs/cgroup%s/memory.stat", group);
  snprintf(text, sizeof text, "anon 7\nfile 9\ninactive_file %s\nactive_file 0\n", cache);
  put(path, text);
}

/* A service in a slice: each level may have a limit, the smallest room counts, wherever it is. */
static void the_tightest_level_of_version_2_counts(void **state) {
  (void)state;
  put("/proc/self/cgroup", "0::/farm.slice/worker.service\n");
  put("/proc/self/mountinfo",
      "25 30 0:23 / /sys/fs/cgroup rw,nosuid shared:9 - cgroup2 cgroup2 rw,nsdelegate\n");
  put_second("/farm.slice/worker.service", "1073741824\n", "104857600\n", "52428800");
  put_second("/farm.slice", "max\n", "104857600\n", "0");
  struct memory memory = look();
  assert_int_equal(memory.group, 974 * MIB); /* 1024 - (100 - 50) */
  assert_string_equal(memory.group_path, "/sys/fs/cgroup/farm.slice/worker.service");
  put_second("/farm.slice", "536870912\n", "209715200\n", "0"); /* with what others use */
  memory = look();
  assert_int_equal(memory.group, 312 * MIB);
  assert_string_equal(memory.group_path, "/sys/fs/cgroup/farm.slice");
  put("/sys/fs/cgroup/farm.slice/worker.service/memory.high", "157286400\n");
  assert_int_equal(look().group, 100 * MIB);
  put_second("/farm.slice", "104857600\n", "209715200\n", "0"); /* it is over its limit already */
  assert_int_equal(look().group, 0);
}

static void put_first(const char *group, const char *limit, const char *usage) {
  char path[256];
  snprintf(path, sizeof path, "/sys/fs/cgroup/memory%s/memory.limit_in_bytes", group);
  put(path, limit);
  snprintf(path, sizeof path, "/sys/fs/cgroup/memory%s/memory.usage_in_bytes", group);
  put(path, usage);
  snprintf(path, sizeof path, "/sys/fs/cgroup/memory%s/memory.stat", group);
  put(path, "cache 1\ninactive_file 1\ntotal_inactive_file 1048576\ntotal_active_file 1048576\n");
}

#define FIRST_GROUPS "9:name=systemd:/x\n5:cpu,cpuacct:/y\n4:memory:/jobs/a\n0::/\n"
#define FIRST_MOUNTS                                                                              \
  "33 31 0:30 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n"                   \
  "35 31 0:32 %s /sys/fs/cgroup/memory rw,relatime shared:3 master:1 - cgroup cgroup rw,memory\n" \
  "41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw\n"

static void version_1_beside_an_empty_version_2(void **state) {
  (void)state;
  char mounts[1024];
  snprintf(mounts, sizeof mounts, FIRST_MOUNTS, "/");
  put("/proc/self/cgroup", FIRST_GROUPS);
  put("/proc/self/mountinfo", mounts);
  put_first("", "9223372036854771712\n", "999999999999\n");
  put_first("/jobs", "9223372036854771712\n", "4194304\n");
  assert_int_equal(look().group, MEMORY_UNLIMITED);
  put_first("/jobs/a", "419430400\n", "4194304\n");
  struct memory memory = look();
  assert_int_equal(memory.group, 398 * MIB); /* 400 - (4 - 2) */
  assert_string_equal(memory.group_path, "/sys/fs/cgroup/memory/jobs/a");
  put_first("/jobs", "104857600\n", "4194304\n");
  assert_int_equal(look().group, 98 * MIB);
}

/* A container sees its own group at the top of the mount, while its path is that of the host. */
static void a_container_with_the_hosts_path(void **state) {
  (void)state;
  char mounts[1024];
  snprintf(mounts, sizeof mounts, FIRST_MOUNTS, "/docker/abc");
  put("/proc/self/cgroup", "4:memory:/docker/abc\n0::/docker/abc\n");
  put("/proc/self/mountinfo", mounts);
  put_first("", "419430400\n", "4194304\n");
  assert_int_equal(look().group, 398 * MIB);
  put("/proc/self/cgroup", "4:memory:/docker/abc/inner\n");
  put_first("/inner", "104857600\n", "4194304\n");
  assert_int_equal(look().group, 98 * MIB);
  put("/proc/self/cgroup", "4:memory:/docker/abcd\n"); /* not under it */
  assert_int_equal(look().group, 398 * MIB);
  put("/proc/self/cgroup", "4:memory:/../elsewhere\n"); /* outside of our name space */
  assert_int_equal(look().group, 398 * MIB);
}

/* Whatever stands there, it is at worst no limit. */
static void nonsense_is_no_limit(void **state) {
  (void)state;
  static const char *const texts[] = {"",     "\n",     "max\n",
                                      "-5\n", "many\n", "99999999999999999999999999\n"};
  put("/proc/self/cgroup", "0::/a\nnonsense\n::\n:\n");
  put("/proc/self/mountinfo", "nonsense\n1 2 - \n25 30 0:23 / /sys/fs/cgroup rw - cgroup2 x rw\n");
  for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
    put_second("/a", texts[i], "5\n", "1");
    assert_int_equal(look().group, MEMORY_UNLIMITED);
  }
  put_second("/a", "1048576\n", "gibberish\n", "gibberish");
  assert_int_equal(look().group, MIB);
}

/* The machine that runs this has memory, too. */
static void this_machine(void **state) {
  (void)state;
  struct memory memory;
  memory_look("", &memory);
  assert_in_range(memory.machine, MIB, (uint64_t)1 << 50);
  assert_true(memory.group > 0);
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
  const struct CMUnitTest tests[] = {
      TEST(a_machine_without_groups),
      TEST(the_tightest_level_of_version_2_counts),
      TEST(version_1_beside_an_empty_version_2),
      TEST(a_container_with_the_hosts_path),
      TEST(nonsense_is_no_limit),
      TEST(this_machine),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
