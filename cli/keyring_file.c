/* keyring_file.c - edits keep what people wrote between the rows. */
#include "cli/keyring_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "base/whole_file.h"

enum { FILE_MODE = 0600 };

/* Beside it, since the file itself is another one after each change. */
static enum status take_lock(const char *path, int *lock) {
  char name[KEY_PATH_BYTES_MAX + 8];
  snprintf(name, sizeof name, "%s.lock", path);
  int fd = open(name, O_RDWR | O_CREAT | O_CLOEXEC, FILE_MODE);
  if (fd < 0 || flock(fd, LOCK_EX) != 0) {
    enum status status =
        fail_field(UNAVAILABLE, "keyring", "cannot lock %s: %s", name, strerror(errno));
    if (fd >= 0) {
      close(fd);
    }
    return status;
  }
  *lock = fd;
  return OK;
}

static enum status name_file(const char *path, enum status status) {
  char why[256];
  snprintf(why, sizeof why, "%s", fail_reason());
  fail_record("keyring", "%s: %s", path, why);
  return status;
}

/* A copy is parsed, which takes it apart. */
static enum status parse(const struct bytes *text, struct keyring *out) {
  struct bytes copy;
  bytes_open(&copy, KEYRING_BYTES_MAX + 1);
  enum status status = bytes_append(&copy, bytes_text(text), text->length);
  char none[1] = "";
  status = status == OK ? keyring_parse(text->length > 0 ? (char *)copy.data : none, out) : status;
  bytes_close(&copy);
  return status;
}

enum status keyring_file_open(const char *path, struct keyring_file *out) {
  struct keyring_file file = {.path = path, .lock = -1};
  TRY(take_lock(path, &file.lock));
  bytes_open(&file.text, KEYRING_BYTES_MAX);
  enum status status = access(path, F_OK) == 0 ? bytes_read_text_file(&file.text, path) : OK;
  status = status == OK ? parse(&file.text, &file.rows) : status;
  if (status != OK) {
    keyring_file_close(&file);
    return name_file(path, status);
  }
  *out = file;
  return OK;
}

void keyring_file_close(struct keyring_file *file) {
  keyring_close(&file->rows);
  bytes_close(&file->text);
  if (file->lock >= 0) {
    close(file->lock); /* the lock goes with it */
    file->lock = -1;
  }
}

size_t keyring_file_find(const struct keyring_file *file, const char *name,
                         const struct keyring_row *found[2]) {
  size_t count = 0;
  for (size_t i = 0; i < file->rows.count && count < 2; i++) {
    if (strcmp(file->rows.row[i].name, name) == 0) {
      found[count++] = &file->rows.row[i];
    }
  }
  return count;
}

static bool is_of(const struct keyring_file *file, unsigned line, const char *name) {
  for (size_t i = 0; i < file->rows.count; i++) {
    if (file->rows.row[i].line == line) {
      return strcmp(file->rows.row[i].name, name) == 0;
    }
  }
  return false;
}

static enum status edit(const struct keyring_file *file, const char *without,
                        const struct keyring_row *added, size_t count, struct bytes *out) {
  unsigned line = 0;
  for (const char *at = bytes_text(&file->text); *at != '\0';) {
    const char *end = strchr(at, '\n');
    size_t length = end != NULL ? (size_t)(end - at) : strlen(at);
    line++;
    if (without == NULL || !is_of(file, line, without)) {
      TRY(bytes_append(out, at, length));
      TRY(bytes_append_text(out, "\n"));
    }
    at += length + (end != NULL);
  }
  for (size_t i = 0; i < count; i++) {
    TRY(keyring_print(&added[i], out));
  }
  return OK;
}

enum status keyring_file_write(const struct keyring_file *file, const char *without,
                               const struct keyring_row *added, size_t count) {
  struct bytes text;
  struct keyring read_back = {0};
  bytes_open(&text, KEYRING_BYTES_MAX);
  enum status status = edit(file, without, added, count, &text);
  status = status == OK ? parse(&text, &read_back) : status;
  status =
      status == OK ? whole_file_write(file->path, text.data, text.length, FILE_MODE, true) : status;
  keyring_close(&read_back);
  bytes_close(&text);
  return status == OK ? OK : name_file(file->path, status);
}
