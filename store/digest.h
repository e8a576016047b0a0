/* digest.h - the SHA-256 of a file; of bytes in memory it is s3/digest.h, which comes with this. */
#ifndef DARKROOM_STORE_DIGEST_H
#define DARKROOM_STORE_DIGEST_H

#include "base/status.h"
#include "s3/digest.h"

/* SHA-256 of a file of any size, read in pieces. UNAVAILABLE if it cannot be read. */
enum status digest_sha256_file(const char *path, char text[SHA256_TEXT_MAX]);

#endif
