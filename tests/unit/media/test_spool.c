/* test_spool.c - what is spooled is found again after a restart, or is gone. */
#include <dirent.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>
#undef fail /* cmocka has a macro of this name */

#include "store/files.h"
#include "worker/media/spool.h"

static char base[] = "/tmp/darkroom-spool-XXXXXX";
static char folder[SPOOL_FOLDER_BYTES_MAX];
static int lock = -1;

struct seen {
  int count;
  char id[65];
  uint64_t fence;
  char assign[16], complete[16];
};

static void see(void *context, const struct spool_leftover *leftover) {
  struct seen *seen = context;
  seen->count++;
  snprintf(seen->id, sizeof seen->id, "%s", leftover->id);
  seen->fence = leftover->fence;
  snprintf(seen->assign, sizeof seen->assign, "%s", bytes_text(&leftover->assign));
  snprintf(seen->complete, sizeof seen->complete, "%s", bytes_text(&leftover->complete));
}

static struct seen walk(void) {
  struct seen seen = {0};
  assert_int_equal(spool_walk(folder, see, &seen), OK);
  return seen;
}

static int open_spool(void **state) {
  (void)state;
  if (mkdtemp(base) == NULL) {
    return -1;
  }
  char wanted[64];
  snprintf(wanted, sizeof wanted, "%s/not/there/spool", base);
  return spool_open(wanted, "w1", folder, &lock) == OK && strcmp(folder, wanted) == 0 ? 0 : -1;
}

static int close_spool(void **state) {
  (void)state;
  close(lock);
  char command[64];
  snprintf(command, sizeof command, "rm -rf %s", base);
  FILE *removing = popen(command, "r");
  return removing != NULL ? pclose(removing) : -1;
}

static void a_finished_attempt_is_found_again(void **state) {
  (void)state;
  struct attempt attempt = {"a.b.7", UINT64_MAX};
  assert_int_equal(spool_write_assign(folder, attempt, "assign", 6), OK);
  assert_int_equal(spool_write_picture(folder, attempt, 3, "png", 3), OK);
  assert_int_equal(spool_write_complete(folder, attempt, "complete", 8), OK);
  struct seen seen = walk();
  assert_int_equal(seen.count, 1);
  assert_string_equal(seen.id, "a.b.7");
  assert_true(seen.fence == UINT64_MAX);
  assert_string_equal(seen.assign, "assign");
  assert_string_equal(seen.complete, "complete");
  struct bytes picture;
  bytes_open(&picture, 100);
  assert_int_equal(spool_read_picture(folder, attempt, 3, &picture), OK);
  assert_string_equal(bytes_text(&picture), "png");
  assert_int_equal(spool_read_picture(folder, attempt, 4, &picture), BAD_INPUT);
  bytes_close(&picture);
  assert_int_equal(spool_drop(folder, attempt), OK);
  assert_int_equal(spool_drop(folder, attempt), OK); /* not there is fine */
  assert_int_equal(walk().count, 0);
}

static void an_unfinished_attempt_is_removed(void **state) {
  (void)state;
  struct attempt attempt = {"half", 5};
  assert_int_equal(spool_write_assign(folder, attempt, "assign", 6), OK);
  assert_int_equal(spool_write_picture(folder, attempt, 0, "png", 3), OK);
  assert_int_equal(walk().count, 0);
  char path[FILE_PATH_MAX];
  snprintf(path, sizeof path, "%s/half.5", folder);
  assert_false(file_exists(path));
}

static void strange_folders_are_left_alone(void **state) {
  (void)state;
  char path[FILE_PATH_MAX];
  snprintf(path, sizeof path, "%s/not-ours", folder);
  assert_int_equal(mkdir(path, 0700), 0);
  assert_int_equal(walk().count, 0);
  assert_true(file_exists(path));
  rmdir(path);
}

static void ids_cannot_leave_the_folder(void **state) {
  (void)state;
  const char *const ids[] = {"", "..", "../x", "a/b", ".hidden", "a b"};
  for (size_t i = 0; i < sizeof ids / sizeof ids[0]; i++) {
    struct attempt attempt = {ids[i], 1};
    assert_int_equal(spool_write_assign(folder, attempt, "x", 1), BAD_INPUT);
    assert_int_equal(spool_drop(folder, attempt), BAD_INPUT);
  }
}

static void it_is_private_and_for_one_worker(void **state) {
  (void)state;
  struct stat facts;
  assert_int_equal(stat(folder, &facts), 0);
  assert_int_equal(facts.st_mode & 0777, 0700);
  int second = -1;
  char place[SPOOL_FOLDER_BYTES_MAX] = "as it was";
  assert_int_equal(spool_open(folder, "w2", place, &second), BAD_INPUT);
  assert_non_null(strstr(fail_reason(), "another worker"));
  assert_string_equal(fail_field_name(), "spool");
  assert_string_equal(place, "as it was");
  assert_int_equal(second, -1);
}

/* A folder as it is found, and whether a worker may use it: itself (0700 and ours), or a private
 * one in it. Needs root, who can make them all, and a child that is nobody. */
enum found { ITSELF, BELOW, REFUSED };
static const struct {
  const char *what;
  uid_t owner;
  gid_t group;
  mode_t mode;
  uid_t worker;
  enum found found;
} folders[] = {
    {"ours alone", 65534, 65534, 0700, 65534, ITSELF},
    {"ours, open to others", 65534, 65534, 0755, 65534, BELOW},
    {"a volume: root's, writable by our group", 0, 65534, 02775, 65534, BELOW},
    {"an emptyDir: root's, writable by all", 0, 0, 0777, 65534, BELOW},
    {"as /var/tmp", 0, 0, 01777, 65534, BELOW},
    {"root's and closed", 0, 0, 0755, 65534, REFUSED},
    {"a stranger's", 1234, 1234, 0777, 65534, REFUSED},
    {"a stranger's, to root", 1234, 1234, 0700, 0, REFUSED},
};

static int open_as(uid_t user, const char *path, enum found *out) {
  pid_t child = fork();
  if (child == 0) {
    char place[SPOOL_FOLDER_BYTES_MAX];
    int own = -1;
    struct stat facts;
    bool became = user == 0 || (setgid(user) == 0 && setuid(user) == 0);
    enum status status = spool_open(path, "w.1", place, &own);
    bool below = strcmp(place, path) != 0 && status == OK;
    bool alone = status != OK || (stat(place, &facts) == 0 && (facts.st_mode & 0777) == 0700 &&
                                  facts.st_uid == user);
    bool named = status == OK || strcmp(fail_field_name(), "spool") == 0;
    int code = status != OK ? REFUSED : below ? BELOW : ITSELF;
    _exit(became && alone && named ? code : 99);
  }
  int code = 0;
  waitpid(child, &code, 0);
  *out = (enum found)WEXITSTATUS(code);
  return 0;
}

static void what_others_own_is_used_if_no_stranger_made_it(void **state) {
  (void)state;
  if (geteuid() != 0) {
    skip();
  }
  assert_int_equal(chmod(base, 0755), 0);
  for (size_t i = 0; i < sizeof folders / sizeof folders[0]; i++) {
    char path[128];
    enum found found = 0;
    snprintf(path, sizeof path, "%s/volume%zu", base, i);
    assert_int_equal(mkdir(path, 0700), 0);
    assert_int_equal(chown(path, folders[i].owner, folders[i].group), 0);
    assert_int_equal(chmod(path, folders[i].mode), 0);
    open_as(folders[i].worker, path, &found);
    if (found != folders[i].found) {
      print_error("%s\n", folders[i].what);
    }
    assert_int_equal(found, folders[i].found);
  }
}

/* A stranger who makes our folder first in a shared place, or leaves a link there. */
static void what_a_stranger_left_is_refused(void **state) {
  (void)state;
  if (geteuid() != 0) {
    skip();
  }
  char shared[64], path[128];
  enum found found = 0;
  snprintf(shared, sizeof shared, "%s/shared", base);
  assert_int_equal(mkdir(shared, 0700), 0);
  assert_int_equal(chmod(shared, 01777), 0);
  snprintf(path, sizeof path, "%s/darkroom-w.1", shared);
  assert_int_equal(mkdir(path, 0777), 0);
  assert_int_equal(chown(path, 1234, 1234), 0);
  open_as(65534, shared, &found);
  assert_int_equal(found, REFUSED);
  snprintf(path, sizeof path, "%s/link", shared);
  assert_int_equal(symlink(base, path), 0);
  assert_int_equal(lchown(path, 1234, 1234), 0);
  open_as(65534, path, &found);
  assert_int_equal(found, REFUSED);
}

static void a_file_is_whole_or_absent(void **state) {
  (void)state;
  char path[FILE_PATH_MAX];
  snprintf(path, sizeof path, "%s/none/file", folder);
  assert_int_equal(file_write(path, "x", 1), UNAVAILABLE); /* its folder is missing */
  snprintf(path, sizeof path, "%s/file", folder);
  assert_int_equal(file_write(path, "old", 3), OK);
  assert_int_equal(file_write(path, "newer", 5), OK);
  struct bytes content;
  bytes_open(&content, 100);
  assert_int_equal(bytes_read_file(&content, path), OK);
  assert_string_equal(bytes_text(&content), "newer");
  bytes_close(&content);
  assert_int_equal(file_remove(path), OK);
  assert_int_equal(file_remove(path), OK);
  DIR *listing = opendir(folder);
  int files = 0;
  for (struct dirent *entry = readdir(listing); entry != NULL; entry = readdir(listing)) {
    files += entry->d_name[0] != '.';
  }
  closedir(listing);
  assert_int_equal(files, 1); /* the lock: no temporary file was left */
}

/* A file system that is full behaves as this limit does. */
static void a_file_that_does_not_fit_leaves_what_was_there(void **state) {
  (void)state;
  char path[FILE_PATH_MAX];
  snprintf(path, sizeof path, "%s/file", folder);
  assert_int_equal(file_write(path, "old", 3), OK);
  struct rlimit before;
  assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
  struct rlimit small = {.rlim_cur = 100, .rlim_max = before.rlim_max};
  signal(SIGXFSZ, SIG_IGN);
  assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
  static char large[1000];
  enum status status = file_write(path, large, sizeof large);
  assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
  assert_int_equal(status, EXHAUSTED);
  struct bytes content;
  bytes_open(&content, 2000);
  assert_int_equal(bytes_read_file(&content, path), OK);
  assert_string_equal(bytes_text(&content), "old");
  bytes_close(&content);
  assert_int_equal(file_remove(path), OK);
  assert_int_equal(walk().count, 0);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_finished_attempt_is_found_again),
      cmocka_unit_test(an_unfinished_attempt_is_removed),
      cmocka_unit_test(strange_folders_are_left_alone),
      cmocka_unit_test(ids_cannot_leave_the_folder),
      cmocka_unit_test(it_is_private_and_for_one_worker),
      cmocka_unit_test(what_others_own_is_used_if_no_stranger_made_it),
      cmocka_unit_test(what_a_stranger_left_is_refused),
      cmocka_unit_test(a_file_is_whole_or_absent),
      cmocka_unit_test(a_file_that_does_not_fit_leaves_what_was_there),
  };
  return cmocka_run_group_tests(tests, open_spool, close_spool);
}
