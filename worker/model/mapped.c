/* mapped.c - a file's pages come when they are read and go when they are given back. */
#include "worker/model/mapped.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/progress.h"
#include "base/text.h"

#define SHA256_BYTES 32
#define HASHED_BYTES ((size_t)4 << 20) /* at a time */

#define REFUSE(...) fail_field(BAD_INPUT, "weights", __VA_ARGS__)

static enum status map_file(struct mapped *file) {
  int descriptor = open(file->path, O_RDONLY | O_CLOEXEC);
  if (descriptor < 0) {
    return REFUSE("cannot open %s: %s", file->path, strerror(errno));
  }
  struct stat info;
  if (fstat(descriptor, &info) != 0 || !S_ISREG(info.st_mode) || info.st_size <= 0) {
    close(descriptor);
    return REFUSE("%s is not a file with content", file->path);
  }
  void *memory = mmap(NULL, (size_t)info.st_size, PROT_READ, MAP_PRIVATE, descriptor, 0);
  close(descriptor);
  if (memory == MAP_FAILED) {
    return fail(EXHAUSTED, "cannot map %s: %s", file->path, strerror(errno));
  }
  file->bytes = memory;
  file->size = (size_t)info.st_size;
  return OK;
}

/* A few GB from a slow disk take minutes: read in parts, each of them progress and given back. */
static bool digest(const struct mapped *file, EVP_MD_CTX *context, uint8_t out[SHA256_BYTES]) {
  bool good = EVP_DigestInit_ex(context, EVP_sha256(), NULL) == 1;
  for (size_t at = 0; good && at < file->size; at += HASHED_BYTES) {
    size_t left = file->size - at, bytes = left < HASHED_BYTES ? left : HASHED_BYTES;
    good = EVP_DigestUpdate(context, file->bytes + at, bytes) == 1;
    mapped_give_back(file, file->bytes + at, bytes);
    progress_count();
  }
  return good && EVP_DigestFinal_ex(context, out, NULL) == 1;
}

static enum status check_hash(const struct mapped *file, const char *expected) {
  uint8_t sum[SHA256_BYTES];
  EVP_MD_CTX *context = EVP_MD_CTX_new();
  bool good = context != NULL && digest(file, context, sum);
  EVP_MD_CTX_free(context);
  if (!good) {
    return fail(BROKEN, "libcrypto cannot compute a sha256");
  }
  char text[2 * SHA256_BYTES + 1];
  text_hex(sum, sizeof sum, text);
  if (strcmp(text, expected) != 0) {
    return REFUSE("%s: sha256 is %s, expected %s", file->path, text, expected);
  }
  return OK;
}

static enum status fill(struct mapped *file, const char *expected_sha256, struct arena *arena) {
  TRY(map_file(file));
  if (expected_sha256 != NULL) {
    TRY(check_hash(file, expected_sha256));
  }
  return safetensors_read(file->path, file->bytes, file->size, arena, &file->table);
}

enum status mapped_open(const char *path, const char *expected_sha256, struct arena *arena,
                        struct mapped *out) {
  struct mapped file = {0};
  TRY(arena_keep_text(arena, path, &file.path));
  enum status status = fill(&file, expected_sha256, arena);
  if (status != OK) {
    mapped_close(&file);
    return status;
  }
  *out = file;
  return OK;
}

void mapped_close(struct mapped *file) {
  if (file->bytes != NULL) {
    munmap(file->bytes, file->size);
    file->bytes = NULL;
  }
}

/* Whole pages, also those at the ends that other tensors share: these are read again. */
void mapped_give_back(const struct mapped *file, const void *data, size_t bytes) {
  uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
  uintptr_t begin = (uintptr_t)data / page * page, end = (uintptr_t)data + bytes;
  if ((uintptr_t)file->bytes <= begin && end <= (uintptr_t)file->bytes + file->size) {
    (void)madvise((void *)begin, end - begin, MADV_DONTNEED);
  }
}
