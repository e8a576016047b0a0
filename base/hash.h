/* hash.h - a number for bytes, to find rows in tables and to tell what is stored from what was
 * meant. Not against anybody who chooses the bytes.
 */
#ifndef DARKROOM_BASE_HASH_H
#define DARKROOM_BASE_HASH_H

#include <stddef.h>
#include <stdint.h>

/* The hash of no bytes. */
#define HASH_START UINT64_C(0xcbf29ce484222325)

/* The hash of what `hash` is the hash of and `bytes` more behind it: FNV-1a, 64 bits (RFC 9923).
 * The same everywhere and for ever: files hold such numbers. */
static inline uint64_t hash_on(uint64_t hash, const void *data, size_t bytes) {
  const uint8_t *at = data;
  for (size_t i = 0; i < bytes; i++) {
    hash = (hash ^ at[i]) * UINT64_C(0x100000001b3);
  }
  return hash;
}

#endif
