/* fetch.c - from a source to -o: checked in memory, then written whole. */
#include "cli/fetch.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/limits.h"
#include "base/process.h"
#include "cli/show.h"
#include "cli/source.h"
#include "store/url.h"

typedef Darkroom__V1__Artifact Image;
enum { PART_BYTES_MAX = PATH_MAX + 32 };

/* Where the images of one job go. */
struct errand {
  const char *output;
  const char *id;
  FILE *paths; /* what was written is named here */
  struct source source;
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

/* Renaming over a device, a pipe or a link would put a file in its place. */
static bool is_special(const char *path) {
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
  if (is_special(output) && !is_folder(output)) {
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

/* What was closed when we started is /dev/null now, and would take the picture without a word. */
static enum exit_code check_stdout(void) {
  if (!process_lacked(STDOUT_FILENO)) {
    return EXIT_CODE_OK;
  }
  fprintf(stderr, "darkroom: -o -: stdout is closed\n");
  return EXIT_CODE_CANNOT_WRITE;
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
    return check_stdout();
  }
  if (is_folder(output)) {
    (void)mkdir(output, 0777); /* that there is one is seen by what follows */
  }
  if (!takes_files(output)) {
    fprintf(stderr, "darkroom: cannot write %s: %s\n", output, strerror(errno));
    return EXIT_CODE_CANNOT_WRITE;
  }
  return EXIT_CODE_OK;
}

/* ".png", ".jpg", ".webp": as the store has it, of a few letters. */
static const char *ending_of(const char *url) {
  const char *dot = url != NULL ? strrchr(url, '.') : NULL;
  bool plain = dot != NULL && strlen(dot) > 1 && strlen(dot) <= 5 &&
               strspn(dot + 1, "abcdefghijklmnopqrstuvwxyz0123456789") == strlen(dot + 1);
  return plain ? dot : ".png";
}

static enum status target_path(const char *output, const char *id, const Image *image, char *path) {
  int bytes = 0;
  if (is_folder(output)) {
    const char *slash = output[strlen(output) - 1] == '/' ? "" : "/";
    bytes = snprintf(path, PATH_MAX, "%s%s%s-%u%s", output, slash, id, image->index,
                     ending_of(image->url));
  } else {
    bytes = snprintf(path, PATH_MAX, "%s", output);
  }
  return bytes < PATH_MAX ? OK : fail(BAD_INPUT, "the output path is too long");
}

/* what is written ------------------------------------------------------------------------------ */

/* BROKEN: what was read is not what the worker stored. */
static enum status check(const struct bytes *content, const Image *image) {
  char sha256[SHA256_TEXT_MAX];
  TRY(digest_sha256_text(bytes_text(content), content->length, sha256));
  bool same = (image->sha256 == NULL || strcmp(image->sha256, sha256) == 0) &&
              (!image->has_bytes || image->bytes == content->length);
  return same ? OK : fail(BROKEN, "image %u is not what was stored: size or SHA-256", image->index);
}

static enum status cannot_write(const char *path) {
  return fail(EXHAUSTED, "cannot write %s: %s", path, strerror(errno));
}

static enum status write_all(int to, const char *path, const struct bytes *content) {
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
  enum status status = write_all(to, path, content);
  if (close(to) != 0 && status == OK) {
    status = cannot_write(path);
  }
  return status;
}

/* Under another name until it is whole. */
static enum status write_file(const char *path, const struct bytes *content) {
  if (is_special(path)) {
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

static enum status deliver(const struct errand *errand, const Image *image,
                           const struct bytes *content) {
  TRY(check(content, image));
  if (is_stdout(errand->output)) {
    return write_all(STDOUT_FILENO, "to stdout", content);
  }
  char path[PATH_MAX];
  TRY(target_path(errand->output, errand->id, image, path));
  TRY(write_file(path, content));
  fprintf(errand->paths, "%s\n", path);
  return OK;
}

static enum exit_code code_of(enum status status) {
  static const enum exit_code codes[] = {
      [OK] = EXIT_CODE_OK,
      [BAD_INPUT] = EXIT_CODE_CANNOT_WRITE,
      [UNAVAILABLE] = EXIT_CODE_CANNOT_WRITE,
      [EXHAUSTED] = EXIT_CODE_CANNOT_WRITE,
      [BROKEN] = EXIT_CODE_INTERNAL,
  };
  if (status != OK) {
    fprintf(stderr, "darkroom: %s\n", fail_reason());
  }
  return codes[status];
}

/* image by image ------------------------------------------------------------------------------- */

/* The URL is named where the paths go, so that nothing is lost to a script, unless stdout is where
 * the picture was to go. */
static void say_not_here(const struct errand *errand, const Image *image, const char *url) {
  char place[SHOW_SAFE_BYTES_MAX];
  char why[SHOW_SAFE_BYTES_MAX];
  fprintf(stderr, "darkroom: image %u was made but not fetched: it is at %s (%s)\n", image->index,
          show_safe(url, place), show_safe(fail_reason(), why));
  if (!is_stdout(errand->output)) {
    fprintf(errand->paths, "%s\n", url);
  }
}

static enum exit_code fetch_one(struct errand *errand, const Image *image) {
  const char *url = image->url != NULL ? image->url : "";
  struct bytes content;
  bytes_open(&content, IMAGE_FILE_BYTES_MAX);
  enum exit_code code = source_read(&errand->source, url, &content);
  if (code == EXIT_CODE_OK) {
    code = code_of(deliver(errand, image, &content));
  } else {
    say_not_here(errand, image, url);
  }
  bytes_close(&content);
  return code;
}

static void print_place(FILE *paths, const Image *image) {
  char path[PATH_MAX];
  const char *url = image->url != NULL ? image->url : "";
  fprintf(paths, "%s\n", url_path(url, path) == OK ? path : url);
}

static void say_how_to_fetch(enum exit_code code, const struct errand *errand) {
  if (code == EXIT_CODE_IO || code == EXIT_CODE_NOT_PERMITTED) {
    fprintf(stderr, "darkroom: nothing is lost: darkroom watch %s -o %s fetches what is missing\n",
            errand->id, errand->output);
  }
}

/* What cannot be fetched does not keep the others from being fetched; the first bad code is the
 * answer. */
static enum exit_code fetch_all(const Darkroom__V1__JobStatus *status, struct errand *errand) {
  enum exit_code code = EXIT_CODE_OK;
  for (size_t i = 0; i < status->n_images; i++) {
    enum exit_code one = fetch_one(errand, status->images[i]);
    code = code == EXIT_CODE_OK ? one : code;
  }
  say_how_to_fetch(code, errand);
  return code;
}

enum exit_code fetch_images(const Darkroom__V1__JobStatus *status, const struct options *options,
                            FILE *paths) {
  struct errand errand = {
      .output = options->output, .id = status->id != NULL ? status->id : "image", .paths = paths};
  enum exit_code code = fetch_check(errand.output, (int64_t)status->n_images);
  if (code != EXIT_CODE_OK) {
    return code;
  }
  if (errand.output == NULL) {
    for (size_t i = 0; i < status->n_images; i++) {
      print_place(paths, status->images[i]);
    }
    return EXIT_CODE_OK;
  }
  source_open(options, &errand.source);
  code = fetch_all(status, &errand);
  source_close(&errand.source);
  return code;
}
