/* library_load.c - finds cuBLASLt and cuDNN on this machine and fills the tables of functions. */
#include "kernels/cuda/library_load.h"

#include <dlfcn.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PATH_BYTES_MAX = 1024 };

/* A library's file: the version that the headers are of is part of its name. */
struct wanted {
  const char *file;
  const char *title;
  const char *const *names; /* functions, in the order of the table's slots */
  size_t count;
};

#define LIBRARY_NAME(name) #name,
static const char *const cublaslt_names[] = {CUBLASLT_FUNCTIONS(LIBRARY_NAME)};
static const char *const cudnn_names[] = {CUDNN_FUNCTIONS(LIBRARY_NAME)};
#undef LIBRARY_NAME
#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
_Static_assert(sizeof(struct cublaslt) == COUNT(cublaslt_names) * sizeof(void (*)(void)) &&
                   sizeof(struct cudnn) == COUNT(cudnn_names) * sizeof(void (*)(void)),
               "slots are plain pointers, one after another");

static const struct wanted cublaslt = {"libcublasLt.so.13", "cuBLASLt", cublaslt_names,
                                       COUNT(cublaslt_names)};
static const struct wanted cudnn = {"libcudnn.so.9", "cuDNN", cudnn_names, COUNT(cudnn_names)};

/* Below a folder that is named: itself, and where wheels keep them below it. */
static const char *const below_named[] = {"", "/cu13/lib", "/cudnn/lib", "/nvidia/cu13/lib",
                                          "/nvidia/cudnn/lib"};
static const char *const usual[] = {"/usr/local/cuda/lib64"};

/* Tries folder + below + the file; NULL folder: wherever the loader looks. */
static void *try_one(const struct wanted *wanted, const char *folder, int folder_bytes,
                     const char *below) {
  char path[PATH_BYTES_MAX];
  int length = folder == NULL ? snprintf(path, sizeof path, "%s", wanted->file)
                              : snprintf(path, sizeof path, "%.*s%s/%s", folder_bytes, folder,
                                         below, wanted->file);
  if (length < 0 || (size_t)length >= sizeof path) {
    return NULL;
  }
  /* Its functions are ours alone to call: a name of another library must not be taken for one. */
  return dlopen(path, RTLD_NOW | RTLD_LOCAL);
}

static void *try_named(const struct wanted *wanted, const char *folders) {
  while (*folders != '\0') {
    size_t bytes = strcspn(folders, ":");
    for (size_t i = 0; bytes > 0 && i < COUNT(below_named); i++) {
      void *module = try_one(wanted, folders, (int)bytes, below_named[i]);
      if (module != NULL) {
        return module;
      }
    }
    folders += bytes + (folders[bytes] == ':');
  }
  return NULL;
}

static enum status find(const struct wanted *wanted, void **out) {
  const char *folders = getenv("DARKROOM_CUDA_LIBRARIES");
  folders = folders == NULL ? "" : folders;
  void *module = try_named(wanted, folders);
  module = module != NULL ? module : try_one(wanted, NULL, 0, "");
  char refusal[FAIL_REASON_MAX / 4]; /* the loader's own word, which a damaged file needs */
  const char *words = module == NULL ? dlerror() : NULL;
  snprintf(refusal, sizeof refusal, "%s", words == NULL ? "" : words);
  for (size_t i = 0; module == NULL && i < COUNT(usual); i++) {
    module = try_one(wanted, usual[i], (int)strlen(usual[i]), "");
  }
  if (module == NULL) {
    return fail(UNAVAILABLE,
                "%s is wanted for a GPU and was not found: looked for %s in "
                "DARKROOM_CUDA_LIBRARIES (%.100s), the loader's folders and %s (%s)",
                wanted->title, wanted->file, *folders == '\0' ? "not set" : folders, usual[0],
                refusal);
  }
  *out = module;
  return OK;
}

static enum status load(const struct wanted *wanted, void (**slots)(void)) {
  void *module = NULL;
  TRY(find(wanted, &module));
  for (size_t i = 0; i < wanted->count; i++) {
    void *found = dlsym(module, wanted->names[i]);
    if (found == NULL) {
      return fail(UNAVAILABLE, "%s (%s) has no %s: another version is wanted", wanted->title,
                  wanted->file, wanted->names[i]);
    }
    memcpy(&slots[i], &found, sizeof found); /* POSIX: a function's address fits a void pointer */
  }
  return OK;
}

enum status library_load_cublaslt(struct cublaslt *out) {
  void (*slots[COUNT(cublaslt_names)])(void);
  TRY(load(&cublaslt, slots));
  memcpy(out, slots, sizeof *out);
  return OK;
}

enum status library_load_cudnn(struct cudnn *out) {
  void (*slots[COUNT(cudnn_names)])(void);
  TRY(load(&cudnn, slots));
  memcpy(out, slots, sizeof *out);
  return OK;
}
