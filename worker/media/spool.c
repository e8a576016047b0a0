/* spool.c - names of files; files.c makes them durable. */
#include "worker/media/spool.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/limits.h"
#include "monitoring/log.h"
#include "proto/job.h"
#include "worker/media/files.h"

#define MESSAGE_BYTES_MAX ((size_t)FRAME_BYTES_MAX)

/* The pictures of a private person must not lie open in a shared folder. */
static enum status make_private(const char *folder) {
  TRY(file_make_folders(folder));
  if (mkdir(folder, 0700) != 0 && errno != EEXIST) {
    return fail_field(BAD_INPUT, "spool", "spool: cannot make %s: %s", folder, strerror(errno));
  }
  struct stat facts;
  if (lstat(folder, &facts) != 0 || !S_ISDIR(facts.st_mode) || facts.st_uid != geteuid()) {
    return fail_field(BAD_INPUT, "spool", "spool: %s is not a folder of this user", folder);
  }
  return OK;
}

enum status spool_open(const char *folder, int *lock) {
  if (strlen(folder) >= SPOOL_FOLDER_BYTES_MAX) {
    return fail_field(BAD_INPUT, "spool", "spool: the path is longer than %d bytes",
                      SPOOL_FOLDER_BYTES_MAX - 1);
  }
  TRY(make_private(folder));
  char path[FILE_PATH_MAX];
  TRY(file_join(path, folder, "lock"));
  *lock = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (*lock < 0) {
    return fail_field(BAD_INPUT, "spool", "spool: cannot write %s: %s", path, strerror(errno));
  }
  if (flock(*lock, LOCK_EX | LOCK_NB) != 0) {
    close(*lock);
    *lock = -1;
    return fail_field(BAD_INPUT, "spool", "spool: another worker uses %s", folder);
  }
  return OK;
}

static enum status attempt_folder(const char *folder, struct attempt attempt, char *path) {
  if (!job_id_valid(attempt.id)) {
    return fail(BAD_INPUT, "not a job id: %.64s", attempt.id);
  }
  char name[128];
  snprintf(name, sizeof name, "%s.%" PRIu64, attempt.id, attempt.fence);
  return file_join(path, folder, name);
}

static enum status attempt_file(const char *folder, struct attempt attempt, const char *name,
                                char *path) {
  char base[FILE_PATH_MAX];
  TRY(attempt_folder(folder, attempt, base));
  return file_join(path, base, name);
}

static enum status write_file(const char *folder, struct attempt attempt, const char *name,
                              struct bytes content) {
  char path[FILE_PATH_MAX];
  TRY(attempt_file(folder, attempt, name, path));
  TRY(file_make_folders(path));
  return file_write(path, content.data, content.length);
}

static struct bytes view(const void *data, size_t bytes) {
  return (struct bytes){.data = (uint8_t *)data, .length = bytes}; /* read only by write_file */
}

/* Never changes, so the attempt's further pictures need not write it again. */
enum status spool_write_assign(const char *folder, struct attempt attempt, const void *data,
                               size_t bytes) {
  char path[FILE_PATH_MAX];
  TRY(attempt_file(folder, attempt, "assign", path));
  return file_exists(path) ? OK : write_file(folder, attempt, "assign", view(data, bytes));
}

enum status spool_write_complete(const char *folder, struct attempt attempt, const void *data,
                                 size_t bytes) {
  return write_file(folder, attempt, "complete", view(data, bytes));
}

static void picture_name(uint32_t index, char name[32]) {
  snprintf(name, 32, "%" PRIu32 ".png", index);
}

enum status spool_write_picture(const char *folder, struct attempt attempt, uint32_t index,
                                const void *data, size_t bytes) {
  char name[32];
  picture_name(index, name);
  return write_file(folder, attempt, name, view(data, bytes));
}

enum status spool_read_picture(const char *folder, struct attempt attempt, uint32_t index,
                               struct bytes *out) {
  char name[32];
  picture_name(index, name);
  char path[FILE_PATH_MAX];
  TRY(attempt_file(folder, attempt, name, path));
  return bytes_read_file(out, path);
}

bool spool_has_picture(const char *folder, struct attempt attempt, uint32_t index) {
  char name[32];
  picture_name(index, name);
  char path[FILE_PATH_MAX];
  return attempt_file(folder, attempt, name, path) == OK && file_exists(path);
}

enum status spool_drop(const char *folder, struct attempt attempt) {
  char path[FILE_PATH_MAX];
  TRY(attempt_folder(folder, attempt, path));
  return file_remove_folder(path);
}

/* the walk ------------------------------------------------------------------------------------- */

/* "JOB.FENCE": the fence is behind the last dot, for ids may have dots. */
static bool parse_name(const char *name, struct spool_leftover *leftover) {
  const char *dot = strrchr(name, '.');
  size_t length = dot != NULL ? (size_t)(dot - name) : 0;
  if (length == 0 || length >= sizeof leftover->id) {
    return false;
  }
  memcpy(leftover->id, name, length);
  leftover->id[length] = '\0';
  char *end = NULL;
  leftover->fence = strtoull(dot + 1, &end, 10);
  return end != dot + 1 && *end == '\0' && job_id_valid(leftover->id);
}

static enum status read_leftover(const char *folder, struct spool_leftover *leftover) {
  struct attempt attempt = {leftover->id, leftover->fence};
  char path[FILE_PATH_MAX];
  TRY(attempt_file(folder, attempt, "complete", path));
  TRY(bytes_read_file(&leftover->complete, path));
  TRY(attempt_file(folder, attempt, "assign", path));
  return bytes_read_file(&leftover->assign, path);
}

static void visit(const char *folder, const char *name,
                  void (*each)(void *context, const struct spool_leftover *leftover),
                  void *context) {
  struct spool_leftover leftover = {0};
  if (!parse_name(name, &leftover)) {
    return; /* not ours: the lock, or what somebody else put there */
  }
  bytes_open(&leftover.assign, MESSAGE_BYTES_MAX);
  bytes_open(&leftover.complete, MESSAGE_BYTES_MAX);
  if (read_leftover(folder, &leftover) == OK) {
    each(context, &leftover);
  } else if (spool_drop(folder, (struct attempt){leftover.id, leftover.fence}) != OK) {
    log_warning("spool_not_dropped", log_text("job", leftover.id),
                log_text("reason", fail_reason()));
  }
  bytes_close(&leftover.assign);
  bytes_close(&leftover.complete);
}

enum status spool_walk(const char *folder,
                       void (*each)(void *context, const struct spool_leftover *leftover),
                       void *context) {
  struct dirent **entries = NULL;
  int count = scandir(folder, &entries, NULL, alphasort);
  if (count < 0) {
    return fail(UNAVAILABLE, "cannot read %s: %s", folder, strerror(errno));
  }
  for (int i = 0; i < count; i++) {
    visit(folder, entries[i]->d_name, each, context);
    free(entries[i]);
  }
  free(entries);
  return OK;
}
