/* digest.c - a file's SHA-256, in pieces over EVP. */
#include "store/digest.h"

#include <errno.h>
#include <openssl/evp.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "base/text.h"

enum { PIECE_BYTES = 64 * 1024 };

static enum status sha256_stream(FILE *file, const char *path, EVP_MD_CTX *context,
                                 char text[SHA256_TEXT_MAX]) {
  static _Thread_local uint8_t piece[PIECE_BYTES];
  bool fine = EVP_DigestInit_ex(context, EVP_sha256(), NULL) == 1;
  size_t got = 0;
  while (fine && (got = fread(piece, 1, sizeof piece, file)) > 0) {
    fine = EVP_DigestUpdate(context, piece, got) == 1;
  }
  if (ferror(file)) {
    return fail(UNAVAILABLE, "cannot read %s: %s", path, strerror(errno));
  }
  uint8_t digest[SHA256_BYTES];
  if (!fine || EVP_DigestFinal_ex(context, digest, NULL) != 1) {
    return fail(BROKEN, "libcrypto has no SHA-256");
  }
  text_hex(digest, sizeof digest, text);
  return OK;
}

enum status digest_sha256_file(const char *path, char text[SHA256_TEXT_MAX]) {
  FILE *file = fopen(path, "rbe");
  if (file == NULL) {
    return fail(UNAVAILABLE, "cannot open %s: %s", path, strerror(errno));
  }
  EVP_MD_CTX *context = EVP_MD_CTX_new();
  enum status status = context == NULL ? fail(EXHAUSTED, "no memory for a digest")
                                       : sha256_stream(file, path, context, text);
  EVP_MD_CTX_free(context);
  fclose(file);
  return status;
}
