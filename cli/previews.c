/* previews.c - JPEGs as they come: the fleet has made them small. */
#include "cli/previews.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "base/limits.h"
#include "cli/output.h"

enum exit_code previews_check(const struct options *options) {
  const char *place = options->previews;
  if (place == NULL) {
    return EXIT_CODE_OK;
  }
  bool folder = output_is_folder(place);
  if (!folder && options->count != SETTING_UNSET && options->count > 1) {
    fprintf(stderr, "darkroom: previews of several images need a folder: --previews FOLDER/\n");
    return EXIT_CODE_USAGE;
  }
  if (!folder && output_is_special(place)) { /* nobody may read from a pipe, and we would wait */
    fprintf(stderr, "darkroom: --previews %s is neither a folder nor a plain file\n", place);
    return EXIT_CODE_USAGE;
  }
  return output_check(place);
}

static enum status name_file(const struct previews *previews, const Darkroom__V1__Preview *preview,
                             char *path) {
  const char *place = previews->place;
  int bytes = 0;
  if (output_is_folder(place)) {
    const char *slash = place[strlen(place) - 1] == '/' ? "" : "/";
    bytes = snprintf(path, PATH_MAX, "%s%s%s-%u-%04u.jpg", place, slash, previews->id,
                     preview->index, preview->step);
  } else {
    bytes = snprintf(path, PATH_MAX, "%s", place);
  }
  return bytes < PATH_MAX ? OK : fail(BAD_INPUT, "the path of a preview is too long");
}

static bool sane(const Darkroom__V1__Preview *preview) {
  return preview->has_jpeg && preview->jpeg.len > 0 && preview->jpeg.len <= PREVIEW_BYTES_MAX;
}

void previews_take(struct previews *previews, const Darkroom__V1__Preview *preview,
                   struct progress *progress) {
  char path[PATH_MAX];
  if (previews->place == NULL || preview == NULL || !sane(preview)) {
    return;
  }
  struct bytes content = {.data = preview->jpeg.data, .length = preview->jpeg.len};
  enum status status = name_file(previews, preview, path);
  status = status == OK ? output_write(path, &content) : status;
  if (status == OK) {
    progress_tell(progress, "preview of image %u at step %u: %s", preview->index, preview->step,
                  path);
  } else if (!previews->failed) {
    progress_say(progress, "previews are lost: %s", fail_reason());
  }
  previews->failed = status != OK;
}
