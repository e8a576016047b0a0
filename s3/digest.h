/* digest.h - SHA-256, MD5 and HMAC-SHA-256 (libcrypto) of bytes in memory. */
#ifndef DARKROOM_S3_DIGEST_H
#define DARKROOM_S3_DIGEST_H

#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

#define SHA256_BYTES 32
#define SHA256_TEXT_MAX 65
#define MD5_BYTES 16
#define MD5_TEXT_MAX 33

/* BROKEN when libcrypto refuses: nothing that this process could do about it. */
enum status digest_md5(const void *data, size_t bytes, uint8_t out[MD5_BYTES]);
enum status digest_hmac(const uint8_t *key, size_t key_bytes, const void *data, size_t bytes,
                        uint8_t out[SHA256_BYTES]);

/* SHA-256 as text in one go. */
enum status digest_sha256_text(const void *data, size_t bytes, char text[SHA256_TEXT_MAX]);

#endif
