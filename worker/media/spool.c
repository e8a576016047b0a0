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
#include "store/files.h"

#define MESSAGE_BYTES_MAX ((size_t)FRAME_BYTES_MAX)

/* finding the place ------------------------------------------------------------------------- */

/* What is guarded against: pictures of a private person that lie open to others, and a stranger on
 * this machine who made the folder first, to read them or to hand in pictures of his own. So the
 * place is this user's alone. What stands above it must only be known not to be a stranger's: root
 * made it, or it is a mount, which takes root, whoever its owner is. */

static enum status refused(const char *folder, const char *why) {
  return fail_field(BAD_INPUT, "spool", "spool: %s %s", folder, why);
}

static bool ours_alone(const struct stat *facts) {
  return S_ISDIR(facts->st_mode) && facts->st_uid == geteuid() && (facts->st_mode & 077) == 0;
}

/* A bind mount of the same file system is one, too; only newer kernels tell. */
static bool is_mount(const char *folder, const struct stat *facts) {
  struct statx told;
  if (statx(AT_FDCWD, folder, 0, STATX_BASIC_STATS, &told) == 0 &&
      (told.stx_attributes_mask & STATX_ATTR_MOUNT_ROOT) != 0) {
    return (told.stx_attributes & STATX_ATTR_MOUNT_ROOT) != 0;
  }
  char above[FILE_PATH_MAX];
  struct stat parent;
  return file_join(above, folder, "..") == OK && stat(above, &parent) == 0 &&
         parent.st_dev != facts->st_dev;
}

/* Of the folder and, where it is a link, of the link. */
static enum status not_a_strangers(const char *folder, struct stat *facts) {
  struct stat link;
  if (lstat(folder, &link) != 0 || stat(folder, facts) != 0) {
    return refused(folder, strerror(errno));
  }
  if (!S_ISDIR(facts->st_mode)) {
    return refused(folder, "is not a folder");
  }
  bool trusted_link = !S_ISLNK(link.st_mode) || link.st_uid == geteuid() || link.st_uid == 0;
  bool trusted = facts->st_uid == geteuid() || facts->st_uid == 0 || is_mount(folder, facts);
  return trusted && trusted_link ? OK : refused(folder, "belongs to another user and is no mount");
}

static enum status make_private(const char *path) {
  struct stat facts;
  if (mkdir(path, 0700) != 0 && errno != EEXIST) {
    return fail_field(BAD_INPUT, "spool", "spool: cannot make %s: %s", path, strerror(errno));
  }
  if (lstat(path, &facts) != 0 || !ours_alone(&facts)) {
    return refused(path, "is not a folder of this user alone (mode 0700)");
  }
  return OK;
}

static enum status copy_path(char *to, const char *folder, const char *ending, const char *name) {
  int length = snprintf(to, SPOOL_FOLDER_BYTES_MAX, "%s%s%s", folder, ending, name);
  return length < SPOOL_FOLDER_BYTES_MAX
             ? OK
             : fail_field(BAD_INPUT, "spool", "spool: the path is longer than %d bytes",
                          SPOOL_FOLDER_BYTES_MAX - 1);
}

static enum status find_place(const char *folder, const char *name, char *path) {
  struct stat facts;
  TRY(copy_path(path, folder, "", ""));
  if (lstat(folder, &facts) != 0) {
    TRY(file_make_folders(folder));
    return make_private(folder);
  }
  TRY(not_a_strangers(folder, &facts));
  if (ours_alone(&facts)) {
    return OK;
  }
  TRY(copy_path(path, folder, "/darkroom-", name));
  return make_private(path);
}

/* Some network and FUSE file systems have no locks: there a worker's name keeps others away. */
static enum status lock_place(const char *folder, int *lock) {
  char path[FILE_PATH_MAX];
  TRY(file_join(path, folder, "lock"));
  int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
  if (fd < 0) {
    return fail_field(BAD_INPUT, "spool", "spool: cannot write %s: %s", path, strerror(errno));
  }
  if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
    if (errno == EWOULDBLOCK) {
      close(fd);
      return fail_field(BAD_INPUT, "spool", "spool: another worker uses %s", folder);
    }
    log_warning("spool_not_locked", log_text("folder", folder),
                log_text("reason", strerror(errno)));
  }
  *lock = fd;
  return OK;
}

enum status spool_open(const char *folder, const char *name, char *path, int *lock) {
  char place[SPOOL_FOLDER_BYTES_MAX];
  TRY(find_place(folder, name, place));
  TRY(lock_place(place, lock));
  memcpy(path, place, sizeof place);
  return OK;
}

/* an attempt's files ------------------------------------------------------------------------ */

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

/* A file that cannot be opened for want of something of ours may be there all the same. */
static bool for_want_of_something(int error) {
  return error == EMFILE || error == ENFILE || error == ENOMEM || error == EINTR;
}

enum status spool_read_picture(const char *folder, struct attempt attempt, uint32_t index,
                               struct bytes *out) {
  char name[32];
  picture_name(index, name);
  char path[FILE_PATH_MAX];
  TRY(attempt_file(folder, attempt, name, path));
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) {
    return fail(for_want_of_something(errno) ? UNAVAILABLE : BAD_INPUT, "cannot open %s: %s", path,
                strerror(errno));
  }
  close(fd);
  enum status status = bytes_read_file(out, path);
  return status == OK || status == EXHAUSTED ? status : BAD_INPUT;
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
