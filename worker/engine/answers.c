/* answers.c - one small file. */
#include "worker/engine/answers.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/bytes.h"
#include "base/hash.h"
#include "base/limits.h"
#include "monitoring/log.h"
#include "worker/engine/answers.pb-c.h"
#include "worker/engine/pipe.h"

#define RGB_BYTES_MAX (ANSWER_SIDE_MAX * ANSWER_SIDE_MAX * 3)
#define ANSWER_BYTES_MAX (RGB_BYTES_MAX + ANSWER_SUBJECT_BYTES_MAX + 64)
#define FILE_BYTES_MAX ((size_t)ANSWERS_MAX * ANSWER_BYTES_MAX)
#define ARENA_BYTES_MAX (2 * FILE_BYTES_MAX)
#define PATH_BYTES_MAX 1280
/* Another engine holds the lock for as long as it takes to write the file. */
enum { LOCK_TRIES = 100, LOCK_PAUSE_US = 20000 };

/* The file in memory: what is in it, with room for one more. */
struct file {
  const char *path;
  struct bytes bytes;
  struct arena *arena;
  size_t count;
  Darkroom__Answers__Answer *answer[ANSWERS_MAX + 1];
};

/* ---- sums ---- */

static uint64_t sum_of(const Darkroom__Answers__Answer *answer) {
  uint64_t hash = HASH_START;
  hash = hash_on(hash, answer->subject, strlen(answer->subject) + 1);
  hash = hash_on(hash, &answer->width, sizeof answer->width);
  hash = hash_on(hash, &answer->height, sizeof answer->height);
  return hash_on(hash, answer->rgb.data, answer->rgb.len);
}

static bool is_whole(const Darkroom__Answers__Answer *answer) {
  return answer->subject != NULL && answer->width <= ANSWER_SIDE_MAX &&
         answer->height <= ANSWER_SIDE_MAX &&
         answer->rgb.len == (size_t)answer->width * answer->height * 3 &&
         answer->sum == sum_of(answer);
}

/* ---- reading ---- */

static enum status unpack(struct file *file) {
  ProtobufCMessage *message = NULL;
  TRY(pipe_unpack(&darkroom__answers__answers__descriptor, file->bytes.data, file->bytes.length,
                  file->arena, &message));
  const Darkroom__Answers__Answers *answers = (const Darkroom__Answers__Answers *)message;
  for (size_t i = 0; i < answers->n_answer && file->count < ANSWERS_MAX; i++) {
    if (is_whole(answers->answer[i])) {
      file->answer[file->count++] = answers->answer[i];
    }
  }
  return OK;
}

/* Not there, or not what it should be: then it is empty. */
static void read_file(struct file *file) {
  if (access(file->path, F_OK) != 0 && errno == ENOENT) {
    return;
  }
  enum status status = bytes_read_file(&file->bytes, file->path);
  status = status == OK ? unpack(file) : status;
  if (status != OK) {
    log_warning("answers_damaged", log_text("file", file->path), log_text("reason", fail_reason()));
  }
}

static const Darkroom__Answers__Answer *find(const struct file *file, const char *subject) {
  for (size_t i = 0; i < file->count; i++) {
    if (strcmp(file->answer[i]->subject, subject) == 0) {
      return file->answer[i];
    }
  }
  return NULL;
}

/* ---- comparing ---- */

static enum status compare(const char *path, const Darkroom__Answers__Answer *kept,
                           const struct answer *answer) {
  if (kept->width != answer->width || kept->height != answer->height) {
    return fail(BROKEN,
                "it is %ux%u where it was %ux%u when this model was first seen on such a "
                "device",
                answer->width, answer->height, kept->width, kept->height);
  }
  int worst = 0;
  double sum = 0;
  for (size_t i = 0; i < kept->rgb.len; i++) {
    int off = abs(answer->rgb[i] - kept->rgb.data[i]);
    worst = off > worst ? off : worst;
    sum += off;
  }
  double mean = sum / (double)kept->rgb.len;
  if (worst > ANSWER_VALUE_OFF_MAX || mean > ANSWER_MEAN_OFF_MAX) {
    return fail(BROKEN,
                "not what it was when this model was first seen on such a device: off by up to %d "
                "of 255, %.1f on average, at most %d and %.1f are taken (kept in %.300s; where "
                "hardware or libraries were changed on purpose, remove that file)",
                worst, mean, ANSWER_VALUE_OFF_MAX, ANSWER_MEAN_OFF_MAX, path);
  }
  return OK;
}

/* ---- writing ---- */

static enum status write_whole(const char *path, const struct bytes *bytes) {
  int file = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  if (file < 0) {
    return fail(UNAVAILABLE, "%s: %s", path, strerror(errno));
  }
  size_t written = 0;
  while (written < bytes->length) {
    ssize_t more = write(file, bytes->data + written, bytes->length - written);
    if (more < 0 && errno != EINTR) {
      break;
    }
    written += more > 0 ? (size_t)more : 0;
  }
  bool good = written == bytes->length && fsync(file) == 0;
  int error = errno;
  close(file);
  return good ? OK : fail(UNAVAILABLE, "%s: %s", path, strerror(error));
}

/* Beside it first, so that whoever looks finds the old or the new. */
static enum status replace(const char *path, const struct bytes *bytes) {
  char beside[PATH_BYTES_MAX];
  snprintf(beside, sizeof beside, "%s.new", path);
  enum status status = write_whole(beside, bytes);
  if (status == OK && rename(beside, path) != 0) {
    status = fail(UNAVAILABLE, "%s: %s", path, strerror(errno));
  }
  if (status != OK) {
    unlink(beside);
  }
  return status;
}

static enum status keep(struct file *file, const struct answer *answer) {
  Darkroom__Answers__Answer newcomer = DARKROOM__ANSWERS__ANSWER__INIT;
  newcomer.subject = (char *)answer->subject;
  newcomer.has_width = newcomer.has_height = newcomer.has_rgb = newcomer.has_sum = 1;
  newcomer.width = answer->width;
  newcomer.height = answer->height;
  newcomer.rgb.data = (uint8_t *)answer->rgb; /* packing only reads it */
  newcomer.rgb.len = (size_t)answer->width * answer->height * 3;
  newcomer.sum = sum_of(&newcomer);
  file->answer[file->count++] = &newcomer;
  size_t first = file->count > ANSWERS_MAX ? file->count - ANSWERS_MAX : 0;
  Darkroom__Answers__Answers answers = DARKROOM__ANSWERS__ANSWERS__INIT;
  answers.n_answer = file->count - first;
  answers.answer = file->answer + first;
  struct bytes packed;
  uint8_t *room = NULL;
  bytes_open(&packed, FILE_BYTES_MAX);
  enum status status =
      bytes_reserve(&packed, darkroom__answers__answers__get_packed_size(&answers), &room);
  if (status == OK) {
    packed.length = darkroom__answers__answers__pack(&answers, room);
    status = replace(file->path, &packed);
  }
  bytes_close(&packed);
  return status;
}

/* ---- the whole ---- */

/* The file itself is replaced, so the lock is another one's. */
static enum status lock(const char *path, int *out) {
  char beside[PATH_BYTES_MAX];
  if (snprintf(beside, sizeof beside, "%s.lock", path) >= (int)sizeof beside) {
    return fail(UNAVAILABLE, "the path is too long");
  }
  int file = open(beside, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (file < 0) {
    return fail(UNAVAILABLE, "%s: %s", beside, strerror(errno));
  }
  for (int i = 0; i < LOCK_TRIES; i++) {
    if (flock(file, LOCK_EX | LOCK_NB) == 0) {
      *out = file;
      return OK;
    }
    usleep(LOCK_PAUSE_US);
  }
  close(file);
  return fail(UNAVAILABLE, "%s: another process holds it", beside);
}

static enum status compare_or_keep(struct file *file, const struct answer *answer) {
  bytes_open(&file->bytes, FILE_BYTES_MAX);
  TRY(arena_open(NULL, ARENA_BYTES_MAX, &file->arena));
  read_file(file);
  const Darkroom__Answers__Answer *kept = find(file, answer->subject);
  return kept != NULL ? compare(file->path, kept, answer) : keep(file, answer);
}

enum status answers_compare(const char *path, const struct answer *answer) {
  int locked = -1;
  struct file file = {.path = path};
  enum status status = lock(path, &locked);
  if (status == OK) {
    status = compare_or_keep(&file, answer);
    arena_close(&file.arena);
    bytes_close(&file.bytes);
    close(locked);
  }
  if (status != OK && status != BROKEN) {
    log_warning("answers_away", log_text("file", path), log_text("reason", fail_reason()));
  }
  return status == BROKEN ? BROKEN : OK;
}
