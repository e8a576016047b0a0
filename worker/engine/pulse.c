/* pulse.c - one page of shared memory. */
#include "worker/engine/pulse.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

static enum status map(int descriptor, struct pulse **out) {
  void *page = mmap(NULL, sizeof(struct pulse), PROT_READ | PROT_WRITE, MAP_SHARED, descriptor, 0);
  if (page == MAP_FAILED) {
    return fail(UNAVAILABLE, "the engine's pulse cannot be mapped: %s", strerror(errno));
  }
  *out = page;
  return OK;
}

/* The seals hold its size: a parent that reads behind the end of a shrunken page would die of it.
 */
static enum status make(int descriptor, struct pulse **out) {
  if (ftruncate(descriptor, sizeof(struct pulse)) != 0 ||
      fcntl(descriptor, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) != 0) {
    return fail(UNAVAILABLE, "no page for the engine's pulse: %s", strerror(errno));
  }
  return map(descriptor, out);
}

enum status pulse_open(struct pulse **out, int *descriptor) {
  int made = memfd_create("darkroom-pulse", MFD_CLOEXEC | MFD_ALLOW_SEALING);
  if (made < 0) {
    return fail(UNAVAILABLE, "no memory for the engine's pulse: %s", strerror(errno));
  }
  enum status status = make(made, out);
  if (status != OK) {
    close(made);
    return status;
  }
  *descriptor = made;
  return OK;
}

enum status pulse_attach(int descriptor, struct pulse **out) {
  struct stat facts;
  enum status status =
      fstat(descriptor, &facts) == 0 && facts.st_size == (off_t)sizeof(struct pulse)
          ? map(descriptor, out)
          : fail(UNAVAILABLE, "descriptor %d is not an engine's pulse", descriptor);
  close(descriptor);
  return status;
}

void pulse_close(struct pulse **pulse) {
  if (*pulse != NULL) {
    munmap(*pulse, sizeof **pulse);
    *pulse = NULL;
  }
}

void pulse_expect(struct pulse *pulse, uint64_t microseconds) {
  if (pulse != NULL) {
    atomic_store_explicit(&pulse->expected_us, microseconds, memory_order_relaxed);
  }
}
