/* whole_file.c - a new file beside the old one, and one rename. */
#include "base/whole_file.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static enum status write_all(int fd, const uint8_t *data, size_t length) {
  while (length > 0) {
    ssize_t written = write(fd, data, length);
    if (written < 0 && errno == EINTR) {
      continue;
    }
    if (written <= 0) {
      return fail(UNAVAILABLE, "%s", strerror(errno));
    }
    data += written;
    length -= (size_t)written;
  }
  return fsync(fd) == 0 ? OK : fail(UNAVAILABLE, "%s", strerror(errno));
}

/* The name is on the disk with its folder. */
static void sync_folder(const char *path) {
  char folder[PATH_MAX];
  const char *slash = strrchr(path, '/');
  int bytes = slash == NULL ? 1 : slash == path ? 1 : (int)(slash - path);
  snprintf(folder, sizeof folder, "%.*s", bytes, slash == NULL ? "." : path);
  int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd >= 0) {
    (void)fsync(fd);
    close(fd);
  }
}

/* link() fails where the name is taken, rename() does not. */
static enum status give_name(const char *made, const char *path, bool replace) {
  if (replace) {
    return rename(made, path) == 0 ? OK : fail(UNAVAILABLE, "%s", strerror(errno));
  }
  if (link(made, path) != 0) {
    return errno == EEXIST ? fail(BAD_INPUT, "it is there already")
                           : fail(UNAVAILABLE, "%s", strerror(errno));
  }
  (void)unlink(made);
  return OK;
}

enum status whole_file_write(const char *path, const void *data, size_t length, mode_t mode,
                             bool replace) {
  char made[PATH_MAX];
  if ((size_t)snprintf(made, sizeof made, "%s.XXXXXX", path) >= sizeof made) {
    return fail(BAD_INPUT, "a path of more than %d bytes", PATH_MAX);
  }
  int fd = mkostemp(made, O_CLOEXEC); /* 0600 until it is whole */
  if (fd < 0) {
    return fail(UNAVAILABLE, "cannot write %s: %s", path, strerror(errno));
  }
  enum status status = write_all(fd, data, length);
  if (status == OK && fchmod(fd, mode) != 0) {
    status = fail(UNAVAILABLE, "%s", strerror(errno));
  }
  struct stat old;
  if (replace && stat(path, &old) == 0) {
    (void)!fchown(fd, old.st_uid,
                  old.st_gid); /* where it is allowed: who could read it still can */
  }
  close(fd);
  status = status == OK ? give_name(made, path, replace) : status;
  if (status != OK) {
    char why[128];
    snprintf(why, sizeof why, "%s", fail_reason());
    (void)unlink(made);
    fail_record(NULL, "cannot write %s: %s", path, why);
    return status;
  }
  sync_folder(path);
  return OK;
}
