/* bench_adapters.c - LoRA at the size of Stable Diffusion 1.5, with random weights: what a switch
 * takes, and what jobs with adapters of their own cost beside jobs without.
 *
 *     bench_adapters [SIDE] [RANK] [THREADS]      latent cells (64), rank (16), 0 = all cores
 *
 * An adapter is a file in kohya's names for every linear layer of the transformers and of the text
 * encoder, as its trainer makes them by default. A switch is reading the file and putting it on the
 * device. The steps are those of four jobs with guidance: eight rows in one call, in turn without
 * adapters, with one for all, and with four.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "tests/bench/sd15_folder.h"
#include "tests/cases/device_rows.h"
#include "tests/unit/model/fake_weights.h"
#include "worker/model/adaptation.h"

#define JOBS 4
#define ROWS (2 * JOBS)
#define ROUNDS 3    /* of steps */
#define SWITCHES 21 /* to weights of its own, which takes seconds, one */
#define PROMPT "a mountain landscape with a lake at sunset"
#define ARENA_BYTES ((size_t)64 << 30)
#define FILE_BYTES_MAX ((size_t)1 << 30)

#define CHECK(call)                                           \
  do {                                                        \
    if ((call) != OK) {                                       \
      fprintf(stderr, "bench_adapters: %s\n", fail_reason()); \
      exit(1);                                                \
    }                                                         \
  } while (0)

struct bench {
  struct device *device;
  struct arena *keep, *turn;
  struct model *model;
  struct bytes file[JOBS];
  struct adaptation *adaptation[JOBS];
  struct predict call;
};

/* ---- a file ---- */

static bool is_trained(const struct module *module) {
  bool text = module->network == NETWORK_TEXT;
  return module->kind == MODULE_LINEAR && (text || strstr(module->name, "attentions.") != NULL);
}

static void add_tensor(struct bytes *header, size_t *at, const char *name, const char *shape,
                       size_t bytes) {
  CHECK(bytes_printf(header, "%s\"%s\":{\"dtype\":\"F16\",\"shape\":%s,\"data_offsets\":[%zu,%zu]}",
                     header->length > 1 ? "," : "", name, shape, *at, *at + bytes));
  *at += bytes;
}

static void add_module(struct bytes *header, size_t *at, const struct module *module, int rank) {
  char key[256], name[300], shape[64];
  snprintf(key, sizeof key, "%s_%s", module->network == NETWORK_UNET ? "lora_unet" : "lora_te",
           module->name);
  for (char *dot = key; *dot != '\0'; dot++) {
    *dot = *dot == '.' ? '_' : *dot;
  }
  snprintf(name, sizeof name, "%s.lora_down.weight", key);
  snprintf(shape, sizeof shape, "[%d,%lld]", rank, (long long)module->inputs);
  add_tensor(header, at, name, shape, 2 * (size_t)(rank * module->inputs));
  snprintf(name, sizeof name, "%s.lora_up.weight", key);
  snprintf(shape, sizeof shape, "[%lld,%d]", (long long)module->outputs, rank);
  add_tensor(header, at, name, shape, 2 * (size_t)(rank * module->outputs));
  snprintf(name, sizeof name, "%s.alpha", key);
  add_tensor(header, at, name, "[]", 2);
}

/* Values of +-0.02, other ones for each seed. */
static void make_file(const struct model *model, int rank, uint32_t seed, struct bytes *out) {
  const struct module_list *modules = model_modules(model);
  struct bytes header;
  size_t at = 0;
  bytes_open(&header, FILE_BYTES_MAX);
  bytes_open(out, FILE_BYTES_MAX);
  CHECK(bytes_append_text(&header, "{"));
  for (size_t i = 0; i < modules_count(modules); i++) {
    if (is_trained(modules_at(modules, (int)i))) {
      add_module(&header, &at, modules_at(modules, (int)i), rank);
    }
  }
  CHECK(bytes_append_text(&header, "}"));
  uint64_t length = header.length;
  CHECK(bytes_append(out, &length, sizeof length));
  CHECK(bytes_append(out, header.data, header.length));
  for (size_t i = 0; i < at / 2; i++) {
    seed = seed * 1664525 + 1013904223;
    uint16_t value = f32_to_f16(((float)(seed >> 8) / 8388608.0f - 1) * 0.02f);
    CHECK(bytes_append(out, &value, sizeof value));
  }
  bytes_close(&header);
}

/* ---- a switch ---- */

static double milliseconds_since(int64_t start) { return (double)(clock_ns() - start) / 1e6; }

static int compare(const void *a, const void *b) {
  double x = *(const double *)a, y = *(const double *)b;
  return x < y ? -1 : x > y;
}

static double median(double *values, int count) {
  qsort(values, (size_t)count, sizeof *values, compare);
  return values[count / 2];
}

/* The file to an adapter, and it to the device. */
static void open_adaptation(struct bench *bench, int job, enum adaptation_way way, double *read,
                            double *put) {
  struct adapter_source source = {
      .name = "bench", .data = bench->file[job].data, .bytes = bench->file[job].length};
  struct adapter_report report;
  struct adapter *adapter = NULL;
  int64_t start = clock_ns();
  CHECK(adapter_open(bench->model, &source, &adapter, &report));
  *read = milliseconds_since(start);
  start = clock_ns();
  struct adapter_use use = {adapter, 1, 1};
  CHECK(adaptation_open_as(bench->model, &use, 1, way, &bench->adaptation[job]));
  CHECK(device_wait(bench->device));
  *put = milliseconds_since(start);
  adapter_close(&adapter);
}

static void bench_switch(struct bench *bench, int rank, enum adaptation_way way, int rounds,
                         const char *name) {
  double read[SWITCHES], put[SWITCHES], both[SWITCHES];
  for (int i = 0; i < rounds; i++) {
    adaptation_close(&bench->adaptation[0]);
    open_adaptation(bench, 0, way, &read[i], &put[i]);
    both[i] = read[i] + put[i];
  }
  printf("adapter_rank%d_read %.2f ms\n", rank, median(read, rounds));
  printf("adapter_rank%d_%s_put %.2f ms\n", rank, name, median(put, rounds));
  printf("adapter_rank%d_%s_switch %.2f ms\n", rank, name, median(both, rounds));
  printf("adapter_rank%d_%s_switch_least %.2f ms\n", rank, name, both[0]);
}

/* ---- steps ---- */

enum mates { MATES_NONE, MATES_ONE, MATES_FOUR, MATES };
static const char *const mates_names[MATES] = {"without", "with_one_for_all", "with_four"};

static void set_rows(struct bench *bench, const struct conditioning *prompt, enum mates mates) {
  struct batch_row rows[ROWS];
  memset(rows, 0, sizeof rows);
  for (int i = 0; i < ROWS; i++) {
    rows[i].timestep = 500;
    model_context(prompt, &rows[i]);
    if (mates != MATES_NONE) {
      int job = mates == MATES_ONE ? 0 : i / 2;
      rows[i].adapters = adaptation_table(bench->adaptation[job], NETWORK_UNET);
    }
  }
  bench->call.adapted = mates != MATES_NONE;
  CHECK(device_rows(bench->device, bench->keep, rows, ROWS, &bench->call.rows));
}

static double step(struct bench *bench) {
  int64_t start = clock_ns();
  CHECK(model_predict(bench->model, bench->turn, &bench->call));
  CHECK(device_wait(bench->device));
  return milliseconds_since(start);
}

static void bench_steps(struct bench *bench, int rank, int side) {
  double ms[MATES][ROUNDS];
  struct conditioning prompt;
  struct condition condition = {.prompt = PROMPT};
  CHECK(model_condition(bench->model, bench->keep, bench->turn, &condition, &prompt, NULL));
  CHECK(tensor_take(bench->keep, device_element(bench->device), TENSOR_SHAPE(ROWS, side, side, 4),
                    &bench->call.input));
  CHECK(tensor_take(bench->keep, ELEMENT_F32, TENSOR_SHAPE(ROWS, side, side, 4),
                    &bench->call.prediction));
  memset(bench->call.input.data, 0, tensor_bytes(&bench->call.input));
  for (int round = -1; round < ROUNDS; round++) { /* the first does not count */
    for (int mates = 0; mates < MATES; mates++) {
      set_rows(bench, &prompt, (enum mates)mates);
      ms[mates][round < 0 ? 0 : round] = step(bench);
    }
  }
  double without = median(ms[MATES_NONE], ROUNDS);
  printf("adapters_step_%s %.1f ms\n", mates_names[MATES_NONE], without);
  for (int mates = MATES_ONE; mates < MATES; mates++) {
    double with = median(ms[mates], ROUNDS);
    printf("adapters_rank%d_step_%s %.1f ms\n", rank, mates_names[mates], with);
    printf("adapters_rank%d_rate_%s %.3f x\n", rank, mates_names[mates], without / with);
  }
}

/* ---- all ---- */

static void open_model(struct bench *bench, const char *folder, int threads) {
  struct device_settings settings = {.threads = threads};
  struct model_source source = {.folder = folder};
  CHECK(device_open("cpu", &settings, &bench->device));
  CHECK(device_arena(bench->device, ARENA_BYTES, &bench->keep));
  CHECK(device_arena(bench->device, ARENA_BYTES, &bench->turn));
  CHECK(model_open(bench->device, &source, &bench->model));
}

static void close_model(struct bench *bench) {
  for (int i = 0; i < JOBS; i++) {
    adaptation_close(&bench->adaptation[i]);
    bytes_close(&bench->file[i]);
  }
  model_close(&bench->model);
  arena_close(&bench->keep);
  arena_close(&bench->turn);
  device_close(&bench->device);
}

int main(int argc, char **argv) {
  int side = argc > 1 ? (int)strtol(argv[1], NULL, 10) : 64;
  int rank = argc > 2 ? (int)strtol(argv[2], NULL, 10) : 16;
  int threads = argc > 3 ? (int)strtol(argv[3], NULL, 10) : 0;
  char folder[] = SD15_FOLDER_TEMPLATE;
  struct bench bench = {0};
  double read = 0, put = 0;
  setvbuf(stdout, NULL, _IOLBF, 0);
  fake_weights_start();
  sd15_folder_make(folder);
  open_model(&bench, folder, threads);
  for (int i = 0; i < JOBS; i++) {
    make_file(bench.model, rank, 1 + (uint32_t)i, &bench.file[i]);
  }
  printf("adapter_rank%d_file %.1f MiB\n", rank, (double)bench.file[0].length / 1048576);
  bench_switch(&bench, rank, ADAPTATION_BESIDE, SWITCHES, "beside");
  for (int i = 1; i < JOBS; i++) {
    open_adaptation(&bench, i, ADAPTATION_BESIDE, &read, &put);
  }
  bench_steps(&bench, rank, side);
  bench_switch(&bench, rank, ADAPTATION_MERGED, 1, "merged");
  close_model(&bench);
  sd15_folder_remove(folder);
  fake_weights_free();
  return 0;
}
