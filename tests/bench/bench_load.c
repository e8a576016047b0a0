/* bench_load.c - how long a model takes to load beside reading and hashing its files once.
 *
 *     bench_load [FOLDER] [THREADS]      FOLDER: diffusers' layout, the demo's without
 *
 * Both in turn, three times, medians: wall time and the processor's, of all threads. Hashing is one
 * thread's work; what a load takes of the processor beyond it is copying, converting and packing.
 */
#include <fcntl.h>
#include <ftw.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "kernels/device.h"
#include "worker/model/model.h"

enum { TURNS = 3, FILES_MAX = 64, PIECE = 4 << 20 };

static struct {
  char path[FILES_MAX][512];
  int count;
  double bytes;
} files;

static double processor_ms(void) {
  struct timespec now;
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
  return (double)now.tv_sec * 1e3 + (double)now.tv_nsec / 1e6;
}

static void leave(const char *what) {
  fprintf(stderr, "bench_load: %s\n", what);
  exit(1);
}

static int note(const char *path, const struct stat *info, int kind, struct FTW *place) {
  (void)place;
  size_t length = strlen(path), ending = strlen(".safetensors");
  if (kind == FTW_F && length > ending && strcmp(path + length - ending, ".safetensors") == 0 &&
      files.count < FILES_MAX) {
    snprintf(files.path[files.count++], sizeof files.path[0], "%s", path);
    files.bytes += (double)info->st_size;
  }
  return 0;
}

static void hash_file(const char *path) {
  static uint8_t piece[PIECE];
  uint8_t digest[EVP_MAX_MD_SIZE];
  EVP_MD_CTX *context = EVP_MD_CTX_new();
  int file = open(path, O_RDONLY | O_CLOEXEC);
  if (file < 0 || context == NULL || EVP_DigestInit_ex(context, EVP_sha256(), NULL) != 1) {
    leave(path);
  }
  ssize_t got = 0;
  while ((got = read(file, piece, sizeof piece)) > 0) {
    if (EVP_DigestUpdate(context, piece, (size_t)got) != 1) {
      leave("libcrypto cannot hash");
    }
  }
  if (got < 0 || EVP_DigestFinal_ex(context, digest, NULL) != 1) {
    leave(path);
  }
  EVP_MD_CTX_free(context);
  close(file);
}

static void hash_all(struct device *device, const char *folder) {
  (void)device;
  (void)folder;
  for (int i = 0; i < files.count; i++) {
    hash_file(files.path[i]);
  }
}

static void load(struct device *device, const char *folder) {
  const struct model_source source = {.folder = folder};
  struct model *model = NULL;
  if (model_open(device, &source, &model) != OK) {
    leave(fail_reason());
  }
  model_close(&model);
}

struct taken {
  double wall, processor;
};

static struct taken measure(void (*what)(struct device *device, const char *folder),
                            struct device *device, const char *folder) {
  int64_t start = clock_ns();
  double begin = processor_ms();
  what(device, folder);
  return (struct taken){(double)(clock_ns() - start) / 1e6, processor_ms() - begin};
}

static int ascending(const void *a, const void *b) {
  double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

static double median(double values[TURNS]) {
  qsort(values, TURNS, sizeof *values, ascending);
  return values[TURNS / 2];
}

int main(int argc, char **argv) {
  device_calm_threads(argv);
  const char *folder = argc > 1 ? argv[1] : "models/demo";
  const struct device_settings settings = {.threads =
                                               argc > 2 ? (int)strtol(argv[2], NULL, 10) : 0};
  struct device *device = NULL;
  double hash_wall[TURNS], hash[TURNS], load_wall[TURNS], loaded[TURNS];
  if (device_open("cpu", &settings, &device) != OK || nftw(folder, note, 16, FTW_PHYS) != 0) {
    leave(folder);
  }
  for (int i = 0; i < TURNS; i++) {
    struct taken hashing = measure(hash_all, device, folder);
    struct taken loading = measure(load, device, folder);
    hash_wall[i] = hashing.wall;
    hash[i] = hashing.processor;
    load_wall[i] = loading.wall;
    loaded[i] = loading.processor;
  }
  double hash_ms = median(hash), load_ms = median(loaded);
  printf("load_files %.0f MiB\n", files.bytes / 1048576);
  printf("load_hash_wall %.0f ms\nload_hash_processor %.0f ms\n", median(hash_wall), hash_ms);
  printf("load_pack_wall %.0f ms\nload_pack_processor %.0f ms\n", median(load_wall), load_ms);
  printf("load_hash_and_pack_over_hash %.2f x # the processor's\n", (hash_ms + load_ms) / hash_ms);
  device_close(&device);
  return 0;
}
