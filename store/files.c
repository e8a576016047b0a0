/* files.c - the one place that knows how to make a file durable. */
#include "store/files.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "monitoring/log.h"

/* What a person has to change is BAD_INPUT, what has run out or was shut EXHAUSTED; all else may
 * pass by itself. */
static enum status outcome_of(int error) {
  static const struct {
    int error;
    enum status outcome;
  } known[] = {
      {EACCES, BAD_INPUT},       {EPERM, BAD_INPUT},  {ENOTDIR, BAD_INPUT}, {EISDIR, BAD_INPUT},
      {ENAMETOOLONG, BAD_INPUT}, {EINVAL, BAD_INPUT}, {ELOOP, BAD_INPUT},   {ENOSPC, EXHAUSTED},
      {EDQUOT, EXHAUSTED},       {EFBIG, EXHAUSTED},  {EROFS, EXHAUSTED},
  };
  for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
    if (known[i].error == error) {
      return known[i].outcome;
    }
  }
  return UNAVAILABLE;
}

static enum status file_failed(const char *what, const char *path) {
  return fail(outcome_of(errno), "cannot %s %s: %s", what, path, strerror(errno));
}

enum status file_join(char *text, const char *folder, const char *name) {
  int length = snprintf(text, FILE_PATH_MAX, "%s/%s", folder, name);
  return length < FILE_PATH_MAX ? OK : fail(BAD_INPUT, "path too long: %.64s...", folder);
}

bool file_exists(const char *path) { return access(path, F_OK) == 0; }

static enum status write_all(int fd, const char *path, const char *data, size_t bytes) {
  while (bytes > 0) {
    ssize_t put = write(fd, data, bytes);
    if (put < 0 && errno != EINTR) {
      return file_failed("write", path);
    }
    data += put > 0 ? put : 0;
    bytes -= put > 0 ? (size_t)put : 0;
  }
  return fsync(fd) == 0 ? OK : file_failed("sync", path);
}

/* Some network and FUSE file systems have no notion of syncing a folder, and a folder may be ours
 * to write and not to read. Such a place keeps a rename as well as it can, which is told once; the
 * file's own content has been synced. An I/O error is none of these. */
static bool cannot_be_synced(int error) {
  return error == EINVAL || error == ENOTSUP || error == ENOSYS || error == EACCES ||
         error == EBADF;
}

static enum status folder_not_synced(const char *folder) {
  static atomic_bool told;
  if (!cannot_be_synced(errno)) {
    return file_failed("sync", folder);
  }
  if (!atomic_exchange(&told, true)) {
    log_warning("folder_not_synced", log_text("folder", folder),
                log_text("reason", strerror(errno)));
  }
  return OK;
}

/* A rename is on disk only when the folder is. */
static enum status sync_folder_of(const char *path) {
  char folder[FILE_PATH_MAX];
  snprintf(folder, sizeof folder, "%s", path);
  char *slash = strrchr(folder, '/');
  if (slash == NULL) {
    snprintf(folder, sizeof folder, ".");
  } else {
    slash[slash == folder ? 1 : 0] = '\0';
  }
  int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) {
    return folder_not_synced(folder);
  }
  enum status status = fsync(fd) == 0 ? OK : folder_not_synced(folder);
  close(fd);
  return status;
}

enum status file_write(const char *path, const void *data, size_t bytes) {
  char temporary[FILE_PATH_MAX];
  int length = snprintf(temporary, sizeof temporary, "%s.XXXXXX", path);
  if (length >= FILE_PATH_MAX) {
    return fail(BAD_INPUT, "path too long: %.64s...", path);
  }
  int fd = mkostemp(temporary, O_CLOEXEC);
  if (fd < 0) {
    return file_failed("create", temporary);
  }
  enum status status = fchmod(fd, 0644) == 0 ? OK : file_failed("set mode of", temporary);
  status = status == OK ? write_all(fd, temporary, data, bytes) : status;
  if (close(fd) != 0 && status == OK) {
    status = file_failed("close", temporary); /* NFS tells of a full disk here */
  }
  if (status == OK && rename(temporary, path) != 0) {
    status = file_failed("rename to", path);
  }
  if (status != OK) {
    unlink(temporary);
    return status;
  }
  return sync_folder_of(path);
}

enum status file_make_folders(const char *path) {
  char folder[FILE_PATH_MAX];
  if (snprintf(folder, sizeof folder, "%s", path) >= FILE_PATH_MAX) {
    return fail(BAD_INPUT, "path too long: %.64s...", path);
  }
  for (char *slash = strchr(folder + 1, '/'); slash != NULL; slash = strchr(slash + 1, '/')) {
    *slash = '\0';
    bool made = mkdir(folder, 0755) == 0;
    if (!made && errno != EEXIST) {
      return file_failed("make folder", folder);
    }
    if (made) {
      TRY(sync_folder_of(folder));
    }
    *slash = '/';
  }
  return OK;
}

enum status file_remove(const char *path) {
  return unlink(path) == 0 || errno == ENOENT ? OK : file_failed("remove", path);
}

static enum status remove_content(DIR *folder, const char *path) {
  for (struct dirent *entry = readdir(folder); entry != NULL; entry = readdir(folder)) {
    if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0) {
      continue;
    }
    if (unlinkat(dirfd(folder), entry->d_name, 0) != 0 && errno != ENOENT) {
      return file_failed("remove a file of", path);
    }
  }
  return OK;
}

enum status file_remove_folder(const char *path) {
  DIR *folder = opendir(path);
  if (folder == NULL) {
    return errno == ENOENT ? OK : file_failed("open", path);
  }
  enum status status = remove_content(folder, path);
  closedir(folder);
  if (status == OK && rmdir(path) != 0 && errno != ENOENT) {
    status = file_failed("remove", path);
  }
  return status;
}
