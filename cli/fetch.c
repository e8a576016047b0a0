/* fetch.c - copies of file: URLs; what lies elsewhere is named, not fetched. */
#include "cli/fetch.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <openssl/evp.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define PIECE_BYTES ((size_t)64 * 1024)
#define DIGEST_BYTES 32
#define FILE_SCHEME "file://"

typedef Darkroom__V1__Image Image;

/* Where the images of one job go. */
struct errand {
  const char *output;
  const char *id;
  FILE *paths; /* what was written is named here */
};

/* where to ------------------------------------------------------------------------------------ */

static bool is_stdout(const char *output) { return strcmp(output, "-") == 0; }

static bool is_folder(const char *output) {
  struct stat found;
  size_t bytes = strlen(output);
  return output[bytes - 1] == '/' || (stat(output, &found) == 0 && S_ISDIR(found.st_mode));
}

/* The folder that a file will be made in. */
static void folder_of(const char *output, char *folder) {
  const char *slash = strrchr(output, '/');
  if (is_folder(output)) {
    snprintf(folder, PATH_MAX, "%s", output);
  } else if (slash != NULL) {
    snprintf(folder, PATH_MAX, "%.*s", slash == output ? 1 : (int)(slash - output), output);
  } else {
    snprintf(folder, PATH_MAX, ".");
  }
}

enum exit_code fetch_check(const char *output, int64_t images) {
  if (output == NULL) {
    return EXIT_CODE_OK;
  }
  if (images > 1 && (is_stdout(output) || !is_folder(output))) {
    fprintf(stderr, "darkroom: several images need a folder: -o FOLDER/\n");
    return EXIT_CODE_USAGE;
  }
  if (is_stdout(output)) {
    return EXIT_CODE_OK;
  }
  char folder[PATH_MAX];
  folder_of(output, folder);
  bool made = is_folder(output) && mkdir(folder, 0777) == 0;
  if (!made && access(folder, W_OK | X_OK) != 0) {
    fprintf(stderr, "darkroom: cannot write into %s: %s\n", folder, strerror(errno));
    return EXIT_CODE_CANNOT_WRITE;
  }
  return EXIT_CODE_OK;
}

static enum status target_path(const char *output, const char *id, const Image *image, char *path) {
  int bytes = 0;
  if (is_folder(output)) {
    const char *slash = output[strlen(output) - 1] == '/' ? "" : "/";
    bytes = snprintf(path, PATH_MAX, "%s%s%s-%u.png", output, slash, id, image->index);
  } else {
    bytes = snprintf(path, PATH_MAX, "%s", output);
  }
  return bytes < PATH_MAX ? OK : fail(BAD_INPUT, "the output path is too long");
}

/* where from ---------------------------------------------------------------------------------- */

static int hex_digit(char c) {
  const char *digits = "0123456789abcdef";
  const char *at = c != '\0' ? strchr(digits, c | 0x20) : NULL;
  return at != NULL ? (int)(at - digits) : -1;
}

/* The path of file:///a%20b or file://localhost/a; BAD_INPUT for any other URL. */
static enum status url_path(const char *url, char *path) {
  const char *at = url != NULL && strncmp(url, FILE_SCHEME, strlen(FILE_SCHEME)) == 0
                       ? url + strlen(FILE_SCHEME)
                       : "";
  at += strncmp(at, "localhost/", 10) == 0 ? strlen("localhost") : 0;
  size_t length = 0;
  while (at[0] != '\0' && length < PATH_MAX - 1) {
    bool escaped = at[0] == '%' && hex_digit(at[1]) >= 0 && hex_digit(at[2]) >= 0;
    path[length++] = escaped ? (char)(hex_digit(at[1]) * 16 + hex_digit(at[2])) : at[0];
    at += escaped ? 3 : 1;
  }
  path[length] = '\0';
  return path[0] == '/' && at[0] == '\0' ? OK : fail(BAD_INPUT, "not a file: URL");
}

/* copying ------------------------------------------------------------------------------------- */

static enum status write_all(int to, const char *data, size_t bytes) {
  while (bytes > 0) {
    ssize_t written = write(to, data, bytes);
    if (written < 0 && errno != EINTR) {
      return fail(EXHAUSTED, "cannot write: %s", strerror(errno));
    }
    data += written > 0 ? written : 0;
    bytes -= written > 0 ? (size_t)written : 0;
  }
  return OK;
}

static void digest_text(const uint8_t *digest, char *text) {
  for (int i = 0; i < DIGEST_BYTES; i++) {
    snprintf(text + 2 * i, 3, "%02x", digest[i]);
  }
}

static enum status copy_pieces(int from, int to, EVP_MD_CTX *hash, uint64_t *copied) {
  char piece[PIECE_BYTES];
  for (;;) {
    ssize_t got = read(from, piece, sizeof piece);
    if (got == 0) {
      return OK;
    }
    if (got < 0 && errno != EINTR) {
      return fail(UNAVAILABLE, "cannot read the stored image: %s", strerror(errno));
    }
    size_t bytes = got > 0 ? (size_t)got : 0;
    EVP_DigestUpdate(hash, piece, bytes);
    *copied += bytes;
    TRY(write_all(to, piece, bytes));
  }
}

/* BROKEN: what was read is not what the worker stored. */
static enum status copy_checked(int from, int to, const Image *image) {
  EVP_MD_CTX *hash = EVP_MD_CTX_new();
  if (hash == NULL || EVP_DigestInit_ex(hash, EVP_sha256(), NULL) != 1) {
    EVP_MD_CTX_free(hash);
    return fail(EXHAUSTED, "no memory for SHA-256");
  }
  uint64_t copied = 0;
  uint8_t digest[DIGEST_BYTES];
  char text[2 * DIGEST_BYTES + 1];
  enum status status = copy_pieces(from, to, hash, &copied);
  EVP_DigestFinal_ex(hash, digest, NULL);
  EVP_MD_CTX_free(hash);
  TRY(status);
  digest_text(digest, text);
  bool same = (image->sha256 == NULL || strcmp(image->sha256, text) == 0) &&
              (!image->has_bytes || image->bytes == copied);
  return same ? OK : fail(BROKEN, "image %u is not what was stored: size or SHA-256", image->index);
}

static enum status cannot_write(const char *path) {
  return fail(EXHAUSTED, "cannot write %s: %s", path, strerror(errno));
}

static enum status copy_into(int from, const char *path, const Image *image) {
  int to = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
  if (to < 0) {
    return cannot_write(path);
  }
  enum status status = copy_checked(from, to, image);
  if (close(to) != 0 && status == OK) {
    status = cannot_write(path);
  }
  return status;
}

/* Renaming over a device, a pipe or a link would put a file in its place. */
static bool is_special(const char *path) {
  struct stat found;
  return lstat(path, &found) == 0 && !S_ISREG(found.st_mode);
}

/* Under another name until it is whole. */
static enum status copy_to_file(int from, const char *path, const Image *image) {
  if (is_special(path)) {
    return copy_into(from, path, image);
  }
  char part[PATH_MAX + 32];
  snprintf(part, sizeof part, "%s.part-%d", path, (int)getpid());
  enum status status = copy_into(from, part, image);
  if (status == OK && rename(part, path) != 0) {
    status = cannot_write(path);
  }
  if (status != OK) {
    unlink(part);
  }
  return status;
}

static enum status fetch_to(int from, const struct errand *errand, const Image *image) {
  if (is_stdout(errand->output)) {
    return copy_checked(from, STDOUT_FILENO, image);
  }
  char path[PATH_MAX];
  TRY(target_path(errand->output, errand->id, image, path));
  TRY(copy_to_file(from, path, image));
  fprintf(errand->paths, "%s\n", path);
  return OK;
}

static enum exit_code code_of(enum status status) {
  static const enum exit_code codes[] = {
      [OK] = EXIT_CODE_OK,
      [BAD_INPUT] = EXIT_CODE_CANNOT_WRITE,
      [UNAVAILABLE] = EXIT_CODE_NOT_FETCHED,
      [EXHAUSTED] = EXIT_CODE_CANNOT_WRITE,
      [BROKEN] = EXIT_CODE_INTERNAL,
  };
  if (status != OK) {
    fprintf(stderr, "darkroom: %s\n", fail_reason());
  }
  return codes[status];
}

/* The URL is named where the paths go, so that nothing is lost to a script, unless stdout is where
 * the picture was to go. */
static enum exit_code not_here(const struct errand *errand, const Image *image, const char *why) {
  const char *url = image->url != NULL ? image->url : "";
  fprintf(stderr, "darkroom: image %u was made but not fetched: it is at %s (%s)\n", image->index,
          url, why);
  if (!is_stdout(errand->output)) {
    fprintf(errand->paths, "%s\n", url);
  }
  return EXIT_CODE_NOT_FETCHED;
}

static enum exit_code fetch_one(const struct errand *errand, const Image *image) {
  char source[PATH_MAX];
  if (url_path(image->url, source) != OK) {
    return not_here(errand, image, "this client reads only file: stores");
  }
  int from = open(source, O_RDONLY | O_CLOEXEC);
  if (from < 0) {
    return not_here(errand, image, strerror(errno));
  }
  enum exit_code code = code_of(fetch_to(from, errand, image));
  close(from);
  return code;
}

static void print_place(FILE *paths, const Image *image) {
  char path[PATH_MAX];
  const char *url = image->url != NULL ? image->url : "";
  fprintf(paths, "%s\n", url_path(image->url, path) == OK ? path : url);
}

/* What cannot be fetched does not keep the others from being fetched; the first bad code is the
 * answer. */
enum exit_code fetch_images(const Darkroom__V1__JobStatus *status, const char *output,
                            FILE *paths) {
  struct errand errand = {output, status->id != NULL ? status->id : "image", paths};
  enum exit_code code = fetch_check(output, (int64_t)status->n_images);
  bool possible = code == EXIT_CODE_OK;
  for (size_t i = 0; i < status->n_images && possible; i++) {
    if (output == NULL) {
      print_place(paths, status->images[i]);
      continue;
    }
    enum exit_code one = fetch_one(&errand, status->images[i]);
    code = code == EXIT_CODE_OK ? one : code;
  }
  return code;
}
