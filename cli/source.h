/* source.h - where the images come from, asked with a person's patience. */
#ifndef DARKROOM_CLI_SOURCE_H
#define DARKROOM_CLI_SOURCE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"
#include "cli/complaint.h"
#include "cli/options.h"
#include "cli/patience.h"
#include "store/reader.h"

/* Reads the images of one job: the client of the bucket asked last is kept for the next image. */
struct source {
  struct reader reader;
  struct patience patience; /* over all images; what was said of it is said once */
};

void source_open(const struct options *options, struct source *source);
void source_close(struct source *source);

/* Fills content with what is at url. A store that is away is asked again until nothing has been
 * heard for patience-ms. Otherwise the code says what kind of trouble it is (NOT_FETCHED,
 * STORE_AWAY, STORE_REFUSES) and fail_reason() which. */
enum exit_code source_read(struct source *source, const char *url, struct bytes *content);

#endif
