/* bench_unet.c - the networks alone: Stable Diffusion 1.5 and the demo model, with random weights
 * of their shapes.
 *
 *     bench_unet [sd15|demo|both] [THREADS] [shapes]      THREADS 0 = all cores
 *
 * A U-Net step is one call with two rows (guidance). Where its time goes is measured by a clock
 * around every op of the device, so what is left is what the model's own code costs. `shapes` gives
 * every op's shapes a line with its share of the processor's time and its rate.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "tests/bench/networks.h"
#include "tests/bench/op_clock.h"

#define DEMO "models/demo"
#define REPEATS_MAX 50
#define SECONDS_MAX 15

static const char *const op_names[OPS_COUNT] = {
#define OP_NAME(name, parameters) #name,
    OPS(OP_NAME)
#undef OP_NAME
};
static bool by_shapes;

/* ---- measuring ---- */

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
  op_clock_clear();
  while (count < REPEATS_MAX && (count < 3 || clock_ns() - begin < SECONDS_MAX * 1000000000LL)) {
    int64_t start = clock_ns();
    CHECK(call(bench, what));
    CHECK(device_wait(bench->device));
    ns[count] = clock_ns() - start;
    all_ns += ns[count++];
  }
  for (int i = 0; i < op_clock.count; i++) {
    op_clock.shapes[i].ns /= count;
    op_clock.shapes[i].processor_ns /= count;
    op_clock.shapes[i].calls /= count;
  }
  bench->mean_ms = (double)all_ns / count / 1e6;
  qsort(ns, (size_t)count, sizeof *ns, compare);
  return (double)ns[count / 2] / 1e6;
}

/* By op: milliseconds, calls. Returns the sum of the milliseconds. */
static double print_ops(const char *name, const char *part) {
  double sum = 0;
  for (int op = 0; op < OPS_COUNT; op++) {
    double ms = 0;
    int calls = 0;
    for (int i = 0; i < op_clock.count; i++) {
      bool counts = op_clock.shapes[i].op == op;
      ms += counts ? (double)op_clock.shapes[i].ns / 1e6 : 0;
      calls += counts ? op_clock.shapes[i].calls : 0;
    }
    if (calls > 0) {
      printf("%s_%s_op_%s %.2f ms\n", name, part, op_names[op], ms);
      printf("%s_%s_op_%s_calls %d calls\n", name, part, op_names[op], calls);
    }
    sum += ms;
  }
  return sum;
}

static int by_time(const void *a, const void *b) {
  const struct op_shape *x = a, *y = b;
  return x->processor_ns > y->processor_ns ? -1 : x->processor_ns < y->processor_ns;
}

/* By shapes: processor time, calls, GFLOP of them all, and the rate of one thread. */
static void print_shapes(const char *name, const char *part) {
  qsort(op_clock.shapes, (size_t)op_clock.count, sizeof op_clock.shapes[0], by_time);
  for (int i = 0; by_shapes && i < op_clock.count; i++) {
    const struct op_shape *shape = &op_clock.shapes[i];
    double gflop = shape->work * shape->calls / 1e9;
    printf("%s_%s_%s_%s %.1f ms # %d calls, %.1f GFLOP, %.0f GFLOP/s of a thread\n", name, part,
           op_names[shape->op], shape->text, (double)shape->processor_ns / 1e6, shape->calls, gflop,
           gflop * 1e9 / (double)shape->processor_ns);
  }
}

static void bench_predict(struct bench *bench, const struct conditioning *conditioning) {
  struct predict call;
  make_predict(bench, conditioning, &call);
  double ms = median_ms(bench, predict, &call);
  printf("%s_unet_step %.2f ms\n", bench->name, ms);
  double sum = print_ops(bench->name, "unet");
  printf("%s_unet_ops_sum %.2f ms\n", bench->name, sum);
  printf("%s_unet_step_over_ops %.3f x\n", bench->name, bench->mean_ms / sum);
  print_shapes(bench->name, "unet");
  printf("%s_unet_scratch %.1f MiB\n", bench->name,
         (double)model_predict_bytes(bench->model, ROWS, bench->side, bench->side) / 1048576);
}

static void bench_decode(struct bench *bench) {
  struct decode decoding;
  make_decode(bench, &decoding);
  printf("%s_decode %.2f ms\n", bench->name, median_ms(bench, decode, &decoding));
  print_shapes(bench->name, "decode");
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
  struct conditioning conditioning;
  int64_t start = clock_ns();
  networks_open(&bench, folder, threads);
  printf("%s_threads %d\n", name, device_threads(bench.device));
  printf("%s_open %.0f ms\n", name, (double)(clock_ns() - start) / 1e6);
  printf("%s_weights %.1f MiB\n", name, (double)model_bytes(bench.model) / 1048576);
  op_clock_start(bench.device);
  printf("%s_condition %.2f ms\n", name, median_ms(&bench, condition, &conditioning));
  bench_predict(&bench, &conditioning);
  print_peaks(bench.device, name, "unet_");
  bench_decode(&bench);
  print_peaks(bench.device, name, "");
  op_clock_stop(bench.device);
  networks_close(&bench);
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
  by_shapes = argc > 3 && strcmp(argv[3], "shapes") == 0;
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
