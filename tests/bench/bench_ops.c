/* bench_ops.c - how fast each op runs, beside what the same machine could do in the same minute.
 *
 *   bench_ops [--device cpu] [--op NAME] [--case NAME] [--place test|bench] [--threads N] [--f32]
 * [--runs N] [--batch N]
 *
 * Prints lines "name value unit". Convolutions and products stand beside bare oneDNN (layouts free,
 * no wrapper, the whole batch in one call), norms and pointwise ops beside a memcpy of as many
 * bytes; ours and theirs take turns and medians are compared, so that other load on the machine
 * hits both.
 */
#include <getopt.h>
#include <omp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "tests/bench/bare_onednn.h"
#include "tests/cases/cases.h"

enum { RUNS_MAX = 1000, BATCH_MAX = 32 };

static struct options {
  const char *device, *op, *name, *place;
  struct device_settings settings;
  int runs;  /* 0: as many as fit in half a second, 5 to 200 */
  int batch; /* 0: the case's */
} options = {.device = "cpu"};

static const int identities[BATCH_MAX] = {0,  1,  2,  3,  4,  5,  6,  7,  8,  9,  10,
                                          11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21,
                                          22, 23, 24, 25, 26, 27, 28, 29, 30, 31};

static void must(enum status status) {
  if (status != OK) {
    fprintf(stderr, "bench_ops: %s\n", fail_reason());
    exit(1);
  }
}

/* What stands beside us: a bare primitive, or a copy of so many bytes, half read and half written.
 */
struct rival {
  struct bare *bare;
  char *from, *to;
  size_t bytes;
};

static struct rival open_rival(const struct device *device, const struct op_case *c, int batch,
                               double bytes) {
  struct rival rival = {.bare = bare_open(device, c, batch)};
  if (rival.bare == NULL) {
    rival.bytes = (size_t)bytes / 2 + 1;
    rival.from = calloc(1, rival.bytes);
    rival.to = calloc(1, rival.bytes);
    if (rival.from == NULL || rival.to == NULL) {
      exit(1);
    }
  }
  return rival;
}

static void close_rival(struct rival *rival) {
  bare_close(&rival->bare);
  free(rival->from);
  free(rival->to);
}

/* Copies with all threads, as the ops do. */
static void copy(const struct rival *rival, int threads) {
#pragma omp parallel for num_threads(threads) schedule(static)
  for (int t = 0; t < threads; t++) {
    size_t first = rival->bytes * (size_t)t / (size_t)threads,
           end = rival->bytes * (size_t)(t + 1) / (size_t)threads;
    memcpy(rival->to + first, rival->from + first, end - first);
  }
}

/* With one thread it is the processor's time that counts, not that of others. */
static int64_t now_ns(void) {
  struct timespec now;
  if (options.settings.threads != 1) {
    return clock_ns();
  }
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
  return now.tv_sec * 1000000000LL + now.tv_nsec;
}

static int64_t time_ours(struct case_run *run) {
  int64_t start = now_ns();
  must(case_execute(run));
  return now_ns() - start;
}

static int64_t time_rival(const struct rival *rival, int threads) {
  int64_t start = now_ns();
  if (rival->bare != NULL) {
    bare_execute(rival->bare);
  } else {
    copy(rival, threads);
  }
  return now_ns() - start;
}

static int ascending(const void *a, const void *b) {
  int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
  return (x > y) - (x < y);
}

static double median(int64_t *times, int count) {
  qsort(times, (size_t)count, sizeof *times, ascending);
  return (double)times[count / 2];
}

static int runs_for(int64_t one_ns) {
  int runs = options.runs > 0 ? options.runs : (int)(500000000 / (one_ns + 1));
  int least = options.runs > 0 ? 1 : 5;
  return runs < least ? least : runs > 200 ? 200 : runs;
}

static void report(const struct op_case *c, int batch, const char *what, double value,
                   const char *unit) {
  printf("%s.%s.b%d.%s %.4g %s\n", c->op, c->name, batch, what, value, unit);
}

static void bench_case(struct device *device, const struct op_case *c) {
  int batch = options.batch > 0 ? options.batch : c->batch, threads = device_threads(device);
  struct case_run *run = NULL;
  must(case_open(device, c, batch, identities, &run));
  struct rival rival = open_rival(device, c, batch, case_bytes(run));
  int64_t ours[RUNS_MAX], theirs[RUNS_MAX];
  time_ours(run); /* the first makes primitives */
  time_rival(&rival, threads);
  int runs = runs_for(time_ours(run));
  for (int i = 0; i < runs; i++) {
    ours[i] = time_ours(run);
    theirs[i] = time_rival(&rival, threads);
  }
  double our_ns = median(ours, runs), their_ns = median(theirs, runs),
         operations = case_operations(c, batch);
  report(c, batch, "time", our_ns / 1000, "us");
  bool computes = operations > 0;
  double work = computes ? operations : case_bytes(run);
  report(c, batch, "rate", work / our_ns, computes ? "GFLOP/s" : "GB/s");
  report(c, batch, "best", work / (double)ours[0],
         computes ? "GFLOP/s" : "GB/s"); /* the sort left it in front */
  if (operations == 0 || rival.bare != NULL) {
    report(c, batch, rival.bare != NULL ? "of_bare" : "of_memcpy", their_ns / our_ns, "ratio");
    report(c, batch, "of_best", (double)theirs[0] / (double)ours[0],
           "ratio"); /* fastest by fastest */
  }
  close_rival(&rival);
  case_close(&run);
}

static bool selected(const struct op_case *c) {
  bool test = c->place == CASE_TEST;
  return (options.op == NULL || strcmp(options.op, c->op) == 0) &&
         (options.name == NULL || strstr(c->name, options.name) != NULL) &&
         (options.place == NULL || test == (strcmp(options.place, "test") == 0));
}

static int number(const char *text) {
  char *end;
  long value = strtol(text, &end, 10);
  if (end == text || *end != '\0' || value < 0 || value > RUNS_MAX) {
    fprintf(stderr, "bench_ops: a number 0..%d is wanted, not \"%s\"\n", RUNS_MAX, text);
    exit(2);
  }
  return (int)value;
}

static void read_options(int count, char **words) {
  static const struct option known[] = {
      {"device", required_argument, NULL, 'd'},
      {"op", required_argument, NULL, 'o'},
      {"case", required_argument, NULL, 'c'},
      {"place", required_argument, NULL, 'p'},
      {"threads", required_argument, NULL, 't'},
      {"f32", no_argument, NULL, 'f'},
      {"runs", required_argument, NULL, 'r'},
      {"batch", required_argument, NULL, 'b'},
      {NULL, 0, NULL, 0},
  };
  for (int letter; (letter = getopt_long(count, words, "", known, NULL)) != -1;) {
    switch (letter) {
      case 'd':
        options.device = optarg;
        break;
      case 'o':
        options.op = optarg;
        break;
      case 'c':
        options.name = optarg;
        break;
      case 'p':
        options.place = optarg;
        break;
      case 't':
        options.settings.threads = number(optarg);
        break;
      case 'f':
        options.settings.force_f32 = true;
        break;
      case 'r':
        options.runs = number(optarg);
        break;
      case 'b':
        options.batch = number(optarg);
        break;
      default:
        exit(2);
    }
  }
  if (options.batch > BATCH_MAX) {
    fprintf(stderr, "bench_ops: at most %d rows\n", BATCH_MAX);
    exit(2);
  }
}

int main(int count, char **words) {
  device_calm_threads(words);
  read_options(count, words);
  struct device *device = NULL;
  must(device_open(options.device, &options.settings, &device));
  printf("device.threads %d threads\n", device_threads(device));
  for (int i = 0; i < op_case_count; i++) {
    if (selected(&op_cases[i])) {
      bench_case(device, &op_cases[i]);
      fflush(stdout);
    }
  }
  printf("device.memory_peak %.1f MiB\n", (double)device_memory_peak(device) / 1048576);
  device_close(&device);
  return 0;
}
