/* fetch.h - from the store to where the user wants the images. */
#ifndef DARKROOM_CLI_FETCH_H
#define DARKROOM_CLI_FETCH_H

#include <stdint.h>
#include <stdio.h>

#include "cli/complaint.h"
#include "cli/options.h"
#include "proto/darkroom.pb-c.h"

/* Whether output (NULL: none, "-": stdout, a file or a folder) can take that many images; says what
 * is wrong. Before the work is asked for. */
enum exit_code fetch_check(const char *output, int64_t images);

/* Fetches the images to options->output, checked against their size and SHA-256, each file whole or
 * not at all, and prints their paths on paths (nothing when output is stdout). An image that cannot
 * be fetched is named with its URL and the reason. Without output prints where the store has them.
 */
enum exit_code fetch_images(const Darkroom__V1__JobStatus *status, const struct options *options,
                            FILE *paths);

#endif
