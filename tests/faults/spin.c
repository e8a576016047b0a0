/* spin.c - a library that never returns: preloaded into an engine, every call of oneDNN spins for
 * ever as soon as the file that DARKROOM_SPIN names is there. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdlib.h>
#include <unistd.h>

int dnnl_primitive_execute(const void *primitive, void *stream, int count, const void *arguments) {
  static int (*real)(const void *, void *, int, const void *);
  const char *path = getenv("DARKROOM_SPIN");
  for (volatile unsigned spins = 0; path != NULL && access(path, F_OK) == 0; spins++) {
  }
  if (real == NULL) {
    *(void **)&real = dlsym(RTLD_NEXT, "dnnl_primitive_execute");
  }
  return real(primitive, stream, count, arguments);
}
