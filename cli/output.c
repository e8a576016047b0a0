/* output.c - a file is written under another name, and takes its own when it is whole. */
#include "cli/output.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PART_BYTES_MAX = PATH_MAX + 32 };

/* where to ------------------------------------------------------------------------------------ */

bool output_is_folder(const char *output) {
  struct stat found;
  size_t bytes = strlen(output);
  return output[bytes - 1] == '/' || (stat(output, &found) == 0 && S_ISDIR(found.st_mode));
}

/* The folder that a file will be made in. */
static void folder_of(const char *output, char *folder) {
  const char *slash = strrchr(output, '/');
  if (output_is_folder(output)) {
    snprintf(folder, PATH_MAX, "%s", output);
  } else if (slash != NULL) {
    snprintf(folder, PATH_MAX, "%.*s", slash == output ? 1 : (int)(slash - output), output);
  } else {
    snprintf(folder, PATH_MAX, ".");
  }
}

/* Renaming over a device, a pipe or a link would put a file in its place. */
bool output_is_special(const char *path) {
  struct stat found;
  return lstat(path, &found) == 0 && !S_ISREG(found.st_mode);
}

/* The name of a file until it is whole: beside it, and never longer than its name. */
static void part_path(const char *output, char *part) {
  char folder[PATH_MAX];
  folder_of(output, folder);
  snprintf(part, PART_BYTES_MAX, "%s/.darkroom-%d.part", folder, (int)getpid());
}

/* What permissions say is not enough: to root they say nothing, and a file system may be read-only,
 * full of names, or not made for files at all (/proc). So a file is made, and goes again. */
static bool takes_files(const char *output) {
  char part[PART_BYTES_MAX];
  struct stat found;
  if (output_is_special(output) && !output_is_folder(output)) {
    return access(output, W_OK) == 0 || errno == ENOENT; /* a link may point to what will be made */
  }
  if (lstat(output, &found) != 0 && errno == ENAMETOOLONG) {
    return false;
  }
  part_path(output, part);
  int fd = open(part, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  if (fd < 0) {
    return false;
  }
  close(fd);
  unlink(part);
  return true;
}

enum exit_code output_check(const char *output) {
  if (output_is_folder(output)) {
    (void)mkdir(output, 0777); /* that there is one is seen by what follows */
  }
  if (!takes_files(output)) {
    fprintf(stderr, "darkroom: cannot write %s: %s\n", output, strerror(errno));
    return EXIT_CODE_CANNOT_WRITE;
  }
  return EXIT_CODE_OK;
}

/* what is written ------------------------------------------------------------------------------ */

static enum status cannot_write(const char *path) {
  return fail(EXHAUSTED, "cannot write %s: %s", path, strerror(errno));
}

enum status output_write_all(int to, const char *path, const struct bytes *content) {
  for (size_t done = 0; done < content->length;) {
    ssize_t written = write(to, content->data + done, content->length - done);
    if (written < 0 && errno != EINTR) {
      return cannot_write(path);
    }
    done += written > 0 ? (size_t)written : 0;
  }
  return OK;
}

static enum status write_into(const char *path, const struct bytes *content) {
  int to = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
  if (to < 0) {
    return cannot_write(path);
  }
  enum status status = output_write_all(to, path, content);
  if (close(to) != 0 && status == OK) {
    status = cannot_write(path);
  }
  return status;
}

enum status output_write(const char *path, const struct bytes *content) {
  if (output_is_special(path)) {
    return write_into(path, content);
  }
  char part[PART_BYTES_MAX];
  part_path(path, part);
  enum status status = write_into(part, content);
  if (status == OK && rename(part, path) != 0) {
    status = cannot_write(path);
  }
  if (status != OK) {
    unlink(part);
  }
  return status;
}
