/* store_file.c - file:///folder: objects are files below it, whole or absent. */
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "s3/sigv4.h"
#include "store/digest.h"
#include "store/files.h"
#include "store/store.h"

struct folder {
  char path[FILE_PATH_MAX]; /* absolute, without a '/' at its end */
};

static enum status folder_open(const struct store_settings *settings, void **out) {
  const char *path = settings->url + strlen("file://");
  size_t length = strlen(path);
  if (path[0] != '/' || length >= FILE_PATH_MAX / 2) {
    return fail_field(BAD_INPUT, "store",
                      "store: %.64s must name an absolute folder: file:///FOLDER", settings->url);
  }
  struct folder *folder = calloc(1, sizeof *folder);
  if (folder == NULL) {
    return fail(EXHAUSTED, "no memory for a store");
  }
  while (length > 1 && path[length - 1] == '/') {
    length--;
  }
  snprintf(folder->path, sizeof folder->path, "%.*s", (int)length, path);
  *out = folder;
  return OK;
}

static void folder_close(void *inside) { free(inside); }

static enum status folder_path(const struct folder *folder, const char *key, char *path) {
  return file_join(path, strcmp(folder->path, "/") == 0 ? "" : folder->path, key);
}

static enum status folder_put(void *inside, const struct store_object *object) {
  char path[FILE_PATH_MAX];
  TRY(folder_path(inside, object->key, path));
  TRY(file_make_folders(path));
  TRY(file_write(path, object->data, object->bytes));
  char wanted[SHA256_TEXT_MAX];
  char found[SHA256_TEXT_MAX];
  TRY(digest_sha256_text(object->data, object->bytes, wanted));
  TRY(digest_sha256_file(path, found));
  return strcmp(wanted, found) == 0 ? OK
                                    : fail(UNAVAILABLE, "%s does not hold what was written", path);
}

static enum status folder_remove(void *inside, const char *key) {
  char path[FILE_PATH_MAX];
  TRY(folder_path(inside, key, path));
  return file_remove(path);
}

static enum status folder_locate(void *inside, const char *key, struct bytes *url) {
  char path[FILE_PATH_MAX];
  TRY(folder_path(inside, key, path));
  TRY(bytes_append_text(url, "file://"));
  return sigv4_encode(path, SIGV4_KEEP_SLASH, url);
}

const struct store_scheme store_file = {
    .name = "file",
    .help = "file:///FOLDER: files below a folder of this machine",
    .open = folder_open,
    .close = folder_close,
    .put = folder_put,
    .remove = folder_remove,
    .locate = folder_locate,
};
