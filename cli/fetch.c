/* fetch.c - from a source to -o: checked in memory, then written whole. */
#include "cli/fetch.h"

#include <limits.h>
#include <stdbool.h>
#include <string.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/limits.h"
#include "base/process.h"
#include "cli/output.h"
#include "cli/show.h"
#include "cli/source.h"
#include "store/url.h"

typedef Darkroom__V1__Artifact Image;

/* Where the images of one job go. */
struct errand {
  const char *output;
  const char *id;
  FILE *paths; /* what was written is named here */
  struct source source;
};

/* where to ------------------------------------------------------------------------------------ */

static bool is_stdout(const char *output) { return strcmp(output, "-") == 0; }

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
  if (images > 1 && (is_stdout(output) || !output_is_folder(output))) {
    fprintf(stderr, "darkroom: several images need a folder: -o FOLDER/\n");
    return EXIT_CODE_USAGE;
  }
  if (is_stdout(output)) {
    return check_stdout();
  }
  return output_check(output);
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
  if (output_is_folder(output)) {
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

static enum status deliver(const struct errand *errand, const Image *image,
                           const struct bytes *content) {
  TRY(check(content, image));
  if (is_stdout(errand->output)) {
    return output_write_all(STDOUT_FILENO, "to stdout", content);
  }
  char path[PATH_MAX];
  TRY(target_path(errand->output, errand->id, image, path));
  TRY(output_write(path, content));
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
