/* library_load.c - finds cuBLASLt and cuDNN on this machine and fills the tables of functions. */
#include "kernels/cuda/library_load.h"

#include <dlfcn.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { PATH_BYTES_MAX = 1024 };

/* A library's file: the version that the headers are of is part of its name. Of cuDNN the part that
 * is asked: libcudnn.so.9, which stands before all parts, ends the process where one is missing. */
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
static const struct wanted cudnn = {"libcudnn_graph.so.9", "cuDNN", cudnn_names,
                                    COUNT(cudnn_names)};

/* Below a folder that is named: itself, and where wheels keep them below it. */
static const char *const below_named[] = {"", "/cu13/lib", "/cudnn/lib", "/nvidia/cu13/lib",
                                          "/nvidia/cudnn/lib"};

#define USUAL_FOLDER "/usr/local/cuda/lib64"

/* What the loader said about the last file that was there and could not be loaded, else about the
 * last that it looked for. */
struct refusal {
  char words[FAIL_REASON_MAX / 4];
  bool was_there;
};

static void note_refusal(struct refusal *refusal, const char *path) {
  const char *words = dlerror();
  bool is_there = strchr(path, '/') != NULL && access(path, F_OK) == 0;
  if (is_there || !refusal->was_there) {
    snprintf(refusal->words, sizeof refusal->words, "%s", words == NULL ? "" : words);
    refusal->was_there = is_there;
  }
}

/* A place to look: a folder's first bytes and what stands behind it. NULL: wherever the loader
 * looks. */
struct place {
  const char *folder;
  size_t bytes;
  const char *below;
};

static const struct place usual[] = {{NULL, 0, ""}, {USUAL_FOLDER, sizeof USUAL_FOLDER - 1, ""}};

static void *try_one(const struct wanted *wanted, const struct place *place,
                     struct refusal *refusal) {
  char path[PATH_BYTES_MAX];
  int length = place->folder == NULL ? snprintf(path, sizeof path, "%s", wanted->file)
                                     : snprintf(path, sizeof path, "%.*s%s/%s", (int)place->bytes,
                                                place->folder, place->below, wanted->file);
  if (length < 0 || (size_t)length >= sizeof path) {
    return NULL;
  }
  /* Its functions are ours alone to call: a name of another library must not be taken for one. */
  void *module = dlopen(path, RTLD_NOW | RTLD_LOCAL);
  if (module == NULL) {
    note_refusal(refusal, path);
  }
  return module;
}

static void *try_named(const struct wanted *wanted, const char *folders, struct refusal *refusal) {
  while (*folders != '\0') {
    size_t bytes = strcspn(folders, ":");
    for (size_t i = 0; bytes > 0 && i < COUNT(below_named); i++) {
      const struct place place = {folders, bytes, below_named[i]};
      void *module = try_one(wanted, &place, refusal);
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
  struct refusal refusal = {0};
  void *module = try_named(wanted, folders, &refusal);
  for (size_t i = 0; module == NULL && i < COUNT(usual); i++) {
    module = try_one(wanted, &usual[i], &refusal);
  }
  if (module == NULL) {
    return fail(UNAVAILABLE,
                "%s is wanted for a GPU and was not found: looked for %s in "
                "DARKROOM_CUDA_LIBRARIES (%.100s), the loader's folders and %s (%s)",
                wanted->title, wanted->file, *folders == '\0' ? "not set" : folders, USUAL_FOLDER,
                refusal.words);
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
