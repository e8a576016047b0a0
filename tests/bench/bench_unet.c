/* bench_unet.c - the networks alone: Stable Diffusion 1.5 and the demo model, with random weights
 * of their shapes.
 *
 *     bench_unet [sd15|demo|both] [THREADS]      THREADS 0 = all cores
 *
 * A U-Net step is one call with two rows (guidance). Where its time goes is measured by a clock
 * around every op of the device, so what is left is what the model's own code costs.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/clock.h"
#include "kernels/backend.h"
#include "tests/bench/sd15_folder.h"
#include "tests/cases/device_rows.h"
#include "tests/unit/model/fake_weights.h"
#include "worker/model/model.h"

#define ROWS 2
#define PROMPT "a mountain landscape with a lake at sunset"
#define DEMO "models/demo"
#define ARENA_BYTES ((size_t)64 << 30)
#define REPEATS_MAX 50
#define SECONDS_MAX 15

#define CHECK(call)                                       \
  do {                                                    \
    if ((call) != OK) {                                   \
      fprintf(stderr, "bench_unet: %s\n", fail_reason()); \
      exit(1);                                            \
    }                                                     \
  } while (0)

/* ---- a clock around every op ---- */

static const struct backend *real;
static struct backend timed;
static int64_t op_ns[OPS_COUNT];
static int op_calls[OPS_COUNT];

#define TIMED(name, parameters, arguments)         \
  static enum status timed_##name parameters {     \
    int64_t start = clock_ns();                    \
    enum status status = real->ops.name arguments; \
    op_ns[OP_##name] += clock_ns() - start;        \
    op_calls[OP_##name]++;                         \
    return status;                                 \
  }
TIMED(matmul,
      (struct device * d, const struct tensor *x, const struct weight *w,
       const struct matmul_options *o, const struct tensor *y),
      (d, x, w, o, y))
TIMED(conv2d,
      (struct device * d, const struct tensor *x, const struct weight *w,
       const struct conv_options *o, const struct tensor *y),
      (d, x, w, o, y))
TIMED(group_norm,
      (struct device * d, const struct tensor *x, const struct norm *n, bool s,
       const struct tensor *y),
      (d, x, n, s, y))
TIMED(layer_norm,
      (struct device * d, const struct tensor *x, const struct norm *n, const struct tensor *y),
      (d, x, n, y))
TIMED(attention, (struct device * d, const struct attention *a, const struct tensor *y), (d, a, y))
TIMED(geglu, (struct device * d, const struct tensor *x, const struct tensor *y), (d, x, y))
TIMED(concat,
      (struct device * d, const struct tensor *a, const struct tensor *b, const struct tensor *y),
      (d, a, b, y))
TIMED(upsample, (struct device * d, const struct tensor *x, const struct tensor *y), (d, x, y))
TIMED(upsample_conv,
      (struct device * d, const struct tensor *x, const struct weight *w, const struct tensor *y),
      (d, x, w, y))
TIMED(timestep_embedding, (struct device * d, const struct batch_row *rows, const struct tensor *y),
      (d, rows, y))

static void time_ops(struct device *device) {
  real = device->backend;
  timed = *real;
  timed.ops.matmul = timed_matmul;
  timed.ops.conv2d = timed_conv2d;
  timed.ops.group_norm = timed_group_norm;
  timed.ops.layer_norm = timed_layer_norm;
  timed.ops.attention = timed_attention;
  timed.ops.geglu = timed_geglu;
  timed.ops.concat = timed_concat;
  timed.ops.upsample = timed_upsample;
  timed.ops.upsample_conv = timed_upsample_conv;
  timed.ops.timestep_embedding = timed_timestep_embedding;
  device->backend = &timed;
}

static const char *const op_names[OPS_COUNT] = {
#define OP_NAME(name, parameters) #name,
    OPS(OP_NAME)
#undef OP_NAME
};

/* ---- measuring ---- */

struct bench {
  const char *name;
  struct device *device;
  struct arena *keep, *turn;
  struct model *model;
  int side;       /* latent cells */
  double mean_ms; /* of what was measured last, comparable with the sum of its ops */
};

static int compare(const void *a, const void *b) {
  int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
  return x < y ? -1 : x > y;
}

/* Median time of several calls, after one that does not count; milliseconds. The mean goes into
 * bench->mean_ms. */
static double median_ms(struct bench *bench, enum status (*call)(struct bench *bench, void *what),
                        void *what) {
  int64_t ns[REPEATS_MAX], begin = clock_ns(), all_ns = 0;
  int count = 0;
  CHECK(call(bench, what));
  memset(op_ns, 0, sizeof op_ns);
  memset(op_calls, 0, sizeof op_calls);
  while (count < REPEATS_MAX && (count < 3 || clock_ns() - begin < SECONDS_MAX * 1000000000LL)) {
    int64_t start = clock_ns();
    CHECK(call(bench, what));
    CHECK(device_wait(bench->device));
    ns[count] = clock_ns() - start;
    all_ns += ns[count++];
  }
  for (int i = 0; i < OPS_COUNT; i++) {
    op_ns[i] /= count;
    op_calls[i] /= count;
  }
  bench->mean_ms = (double)all_ns / count / 1e6;
  qsort(ns, (size_t)count, sizeof *ns, compare);
  return (double)ns[count / 2] / 1e6;
}

static enum status condition(struct bench *bench, void *what) {
  arena_drop(bench->keep);
  return model_condition(bench->model, bench->keep, bench->turn,
                         &(struct condition){.prompt = PROMPT}, what, NULL);
}

static enum status predict(struct bench *bench, void *what) {
  return model_predict(bench->model, bench->turn, what);
}

static enum status decode(struct bench *bench, void *what) {
  return model_decode(bench->model, bench->turn, what);
}

/* Values that look like noise, in any type. */
static void fill(struct bench *bench, const struct tensor *tensor) {
  size_t count = (size_t)tensor_count(tensor);
  float *wide = malloc(count * sizeof *wide);
  uint16_t *narrow = malloc(count * sizeof *narrow);
  for (size_t i = 0; i < count; i++) {
    wide[i] = (float)(i * 7919 % 2000) / 1000 - 1;
    narrow[i] = f32_to_bf16(wide[i]);
  }
  CHECK(device_put(bench->device, tensor->element == ELEMENT_F32 ? (void *)wide : (void *)narrow,
                   tensor_bytes(tensor), tensor));
  free(wide);
  free(narrow);
}

static void print_ops(const struct bench *bench) {
  double sum = 0;
  for (int i = 0; i < OPS_COUNT; i++) {
    if (op_calls[i] > 0) {
      printf("%s_unet_op_%s %.2f ms\n", bench->name, op_names[i], (double)op_ns[i] / 1e6);
      printf("%s_unet_op_%s_calls %d calls\n", bench->name, op_names[i], op_calls[i]);
      sum += (double)op_ns[i] / 1e6;
    }
  }
  printf("%s_unet_ops_sum %.2f ms\n", bench->name, sum);
  printf("%s_unet_step_over_ops %.3f x\n", bench->name, bench->mean_ms / sum);
}

static void bench_predict(struct bench *bench, const struct conditioning *conditioning) {
  const struct conditioning *conditionings[ROWS] = {conditioning, conditioning};
  struct predict call = {0};
  CHECK(device_prompt_rows(bench->device, bench->keep, (float[ROWS]){500, 500}, conditionings, ROWS,
                           &call.rows));
  int channels = model_family(bench->model)->unet.in_channels;
  CHECK(tensor_take(bench->keep, device_element(bench->device),
                    TENSOR_SHAPE(ROWS, bench->side, bench->side, channels), &call.input));
  CHECK(tensor_take(bench->keep, ELEMENT_F32,
                    TENSOR_SHAPE(ROWS, bench->side, bench->side, channels), &call.prediction));
  fill(bench, &call.input);
  double ms = median_ms(bench, predict, &call);
  printf("%s_unet_step %.2f ms\n", bench->name, ms);
  print_ops(bench);
  printf("%s_unet_scratch %.1f MiB\n", bench->name,
         (double)model_predict_bytes(bench->model, ROWS, bench->side, bench->side) / 1048576);
}

static void bench_decode(struct bench *bench) {
  struct decode decoding;
  struct tensor latents, picture;
  const struct family *family = model_family(bench->model);
  int64_t side = bench->side, pixels = side * family->scale_factor;
  CHECK(tensor_take(bench->keep, ELEMENT_F32, TENSOR_SHAPE(side, side, family->vae.latent_channels),
                    &latents));
  CHECK(tensor_take(bench->keep, ELEMENT_U8, TENSOR_SHAPE(pixels, pixels, 3), &picture));
  fill(bench, &latents);
  CHECK(device_decode(bench->device, bench->keep, bench->model, &latents, &picture, &decoding));
  printf("%s_decode %.2f ms\n", bench->name, median_ms(bench, decode, &decoding));
  printf("%s_decode_scratch %.1f MiB\n", bench->name,
         (double)model_decode_bytes(bench->model, bench->side, bench->side) / 1048576);
}

/* What the device's own counter saw, and what the whole process took of the machine at most: only
 * the second compares with another program's. */
static void print_peaks(const struct device *device, const char *name, const char *part) {
  struct rusage usage;
  getrusage(RUSAGE_SELF, &usage);
  printf("%s_%sdevice_peak %.0f MiB\n", name, part, (double)device_memory_peak(device) / 1048576);
  printf("%s_%speak_rss %.0f MiB\n", name, part, (double)usage.ru_maxrss / 1024);
}

/* Opens a folder and measures all three networks. */
static void bench_model(const char *name, const char *folder, int threads) {
  struct bench bench = {.name = name};
  struct device_settings settings = {.threads = threads};
  struct model_source source = {.folder = folder};
  struct conditioning conditioning;
  CHECK(device_open("cpu", &settings, &bench.device));
  CHECK(device_arena(bench.device, ARENA_BYTES, &bench.keep));
  CHECK(device_arena(bench.device, ARENA_BYTES, &bench.turn));
  int64_t start = clock_ns();
  CHECK(model_open(bench.device, &source, &bench.model));
  printf("%s_threads %d\n", name, device_threads(bench.device));
  printf("%s_open %.0f ms\n", name, (double)(clock_ns() - start) / 1e6);
  printf("%s_weights %.1f MiB\n", name, (double)model_bytes(bench.model) / 1048576);
  time_ops(bench.device);
  bench.side = model_family(bench.model)->unet.sample_side;
  printf("%s_condition %.2f ms\n", name, median_ms(&bench, condition, &conditioning));
  bench_predict(&bench, &conditioning);
  print_peaks(bench.device, name, "unet_");
  bench_decode(&bench);
  print_peaks(bench.device, name, "");
  model_close(&bench.model);
  arena_close(&bench.keep);
  arena_close(&bench.turn);
  bench.device->backend = real;
  device_close(&bench.device);
}

static void bench_sd15(int threads) {
  char folder[] = SD15_FOLDER_TEMPLATE;
  sd15_folder_make(folder);
  bench_model("sd15", folder, threads);
  sd15_folder_remove(folder);
}

int main(int argc, char **argv) {
  const char *which = argc > 1 ? argv[1] : "both";
  int threads = argc > 2 ? (int)strtol(argv[2], NULL, 10) : 0;
  fake_weights_start();
  if (strcmp(which, "sd15") != 0 && access(DEMO "/model_index.json", R_OK) == 0) {
    bench_model("demo", DEMO, threads);
  }
  if (strcmp(which, "demo") != 0) {
    bench_sd15(threads);
  }
  fake_weights_free();
  return 0;
}
