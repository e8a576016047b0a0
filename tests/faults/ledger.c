/* ledger.c - preloaded into a worker by stories: writes down, in order, what it does to files, and
 * lets calls fail that a story names.
 *
 * LEDGER names the file it is written to, a line a call: "write PATH", "fsync PATH", "rename FROM
 * TO", "mkdir PATH", "complete" (a COMPLETE leaves for a broker). LEDGER_FAULT names a file with
 * lines "CALL ERRNO TEXT": a call of that name on a path that holds TEXT fails with that errno
 * (fsync of a folder is called fsync-folder here); the file is read at each call, so that a story
 * can change its mind.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { LINE_MAX_BYTES = 8192, COMPLETE_VERB = LEDGER_COMPLETE_VERB };

static void put(const char *call, const char *path, const char *more) {
  const char *ledger = getenv("LEDGER");
  char line[2 * LINE_MAX_BYTES];
  int kept = errno;
  int length = snprintf(line, sizeof line, "%s %s %s\n", call, path, more);
  int fd = ledger != NULL ? open(ledger, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600) : -1;
  if (fd >= 0) {
    syscall(SYS_write, fd, line, (size_t)length); /* in one piece, past our own write */
    close(fd);
  }
  errno = kept;
}

/* The errno that the call shall fail with, 0: none. */
static int fault(const char *call, const char *path) {
  const char *name = getenv("LEDGER_FAULT");
  FILE *file = name != NULL ? fopen(name, "re") : NULL;
  char line[LINE_MAX_BYTES], wanted[32], text[LINE_MAX_BYTES];
  int error = 0, found = 0;
  while (file != NULL && found == 0 && fgets(line, sizeof line, file) != NULL) {
    if (sscanf(line, "%31s %d %s", wanted, &error, text) == 3 && strcmp(wanted, call) == 0 &&
        strstr(path, text) != NULL) {
      found = error;
    }
  }
  if (file != NULL) {
    fclose(file);
  }
  return found;
}

/* Absolute, "" for what is no file. */
static void path_of(int fd, char path[LINE_MAX_BYTES]) {
  char link[64];
  snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
  ssize_t length = readlink(link, path, LINE_MAX_BYTES - 1);
  path[length > 0 && path[0] == '/' ? length : 0] = '\0';
}

static int failed(const char *call, const char *path) {
  int kept = errno;
  int error = fault(call, path);
  errno = error != 0 ? error : kept;
  return error != 0;
}

ssize_t write(int fd, const void *data, size_t bytes) {
  char path[LINE_MAX_BYTES];
  path_of(fd, path);
  if (path[0] != '\0') {
    if (failed("write", path)) {
      return -1;
    }
    put("write", path, "");
  }
  return syscall(SYS_write, fd, data, bytes);
}

int fsync(int fd) {
  char path[LINE_MAX_BYTES];
  struct stat facts;
  path_of(fd, path);
  bool folder = fstat(fd, &facts) == 0 && S_ISDIR(facts.st_mode);
  if (failed(folder ? "fsync-folder" : "fsync", path)) {
    return -1;
  }
  int result = (int)syscall(SYS_fsync, fd);
  if (result == 0) {
    put("fsync", path, "");
  }
  return result;
}

int rename(const char *from, const char *to) {
  if (failed("rename", to)) {
    return -1;
  }
  put("rename", from, to);
  return (int)syscall(SYS_renameat2, AT_FDCWD, from, AT_FDCWD, to, 0);
}

int mkdir(const char *path, mode_t mode) {
  if (failed("mkdir", path)) {
    return -1;
  }
  int result = (int)syscall(SYS_mkdirat, AT_FDCWD, path, mode);
  if (result == 0) {
    put("mkdir", path, "");
  }
  return result;
}

/* libzmq's way out. */
ssize_t send(int fd, const void *data, size_t bytes, int flags) {
  static const unsigned char complete[] = {'D', 'K', 1, COMPLETE_VERB};
  if (memmem(data, bytes, complete, sizeof complete) != NULL) {
    put("complete", "", "");
  }
  return syscall(SYS_sendto, fd, data, bytes, flags, NULL, 0);
}
