/* digest.c - thin over EVP; every failure of libcrypto becomes one outcome. */
#include "s3/digest.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>

#include "base/text.h"

static enum status digest_sha256(const void *data, size_t bytes, uint8_t out[SHA256_BYTES]) {
  return EVP_Digest(data, bytes, out, NULL, EVP_sha256(), NULL) == 1
             ? OK
             : fail(BROKEN, "libcrypto has no SHA-256");
}

enum status digest_md5(const void *data, size_t bytes, uint8_t out[MD5_BYTES]) {
  return EVP_Digest(data, bytes, out, NULL, EVP_md5(), NULL) == 1
             ? OK
             : fail(BROKEN, "libcrypto has no MD5");
}

enum status digest_hmac(const uint8_t *key, size_t key_bytes, const void *data, size_t bytes,
                        uint8_t out[SHA256_BYTES]) {
  unsigned length = 0;
  return HMAC(EVP_sha256(), key, (int)key_bytes, data, bytes, out, &length) != NULL
             ? OK
             : fail(BROKEN, "libcrypto has no HMAC");
}

enum status digest_sha256_text(const void *data, size_t bytes, char text[SHA256_TEXT_MAX]) {
  uint8_t digest[SHA256_BYTES];
  TRY(digest_sha256(data, bytes, digest));
  text_hex(digest, sizeof digest, text);
  return OK;
}
