/* url.h - file: URLs as paths. */
#ifndef DARKROOM_STORE_URL_H
#define DARKROOM_STORE_URL_H

#include "base/status.h"

/* The path that a file: URL names, in PATH_MAX bytes; BAD_INPUT for any other URL. */
enum status url_path(const char *url, char *path);

#endif
