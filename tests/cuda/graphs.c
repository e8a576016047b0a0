/* graphs.c - asks cuDNN for every graph of SD 1.5 at 512x512 as a GPU would be asked, without one.
 *
 *   graphs PROPERTIES.json [strict|fast] [IMAGES...]
 *
 * PROPERTIES.json holds a GPU's properties in cuDNN's words (tests/cuda/h100.json). For each
 * problem one line: what it is, the engine that was chosen and its knobs, the memory beside the
 * operands, and for which numbers of images there is a plan for all at once. Exits 1 if any problem
 * that must be served is not.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "kernels/cuda/library_plan.h"

enum { WORKSPACE_BYTES = 80 * 1024 * 1024, COUNTS_MAX = 16 };

struct shape {
  const char *name;
  int64_t height, inputs, outputs; /* of the output; pictures are square */
  int kernel, stride;
  int channel_add, residual, f32; /* f32: y is, and our own kernel serves it */
};
static const struct shape shapes[] = {
    {"conv_in", 64, 4, 320, 3, 1, 0, 0, 0},
    {"res 64 first", 64, 320, 320, 3, 1, 1, 0, 0},
    {"res 64 second", 64, 320, 320, 3, 1, 0, 1, 0},
    {"down 64", 32, 320, 320, 3, 2, 0, 0, 0},
    {"res 32 widens", 32, 320, 640, 3, 1, 1, 0, 0},
    {"shortcut 32", 32, 320, 640, 1, 1, 0, 0, 0},
    {"res 32 second", 32, 640, 640, 3, 1, 0, 1, 0},
    {"down 32", 16, 640, 640, 3, 2, 0, 0, 0},
    {"res 16 widens", 16, 640, 1280, 3, 1, 1, 0, 0},
    {"shortcut 16", 16, 640, 1280, 1, 1, 0, 0, 0},
    {"res 16 second", 16, 1280, 1280, 3, 1, 0, 1, 0},
    {"down 16", 8, 1280, 1280, 3, 2, 0, 0, 0},
    {"res 8 first", 8, 1280, 1280, 3, 1, 1, 0, 0},
    {"res 8 second", 8, 1280, 1280, 3, 1, 0, 1, 0},
    {"up 8 joined", 8, 2560, 1280, 3, 1, 1, 0, 0},
    {"up 8 shortcut", 8, 2560, 1280, 1, 1, 0, 0, 0},
    {"up 16 joined", 16, 2560, 1280, 3, 1, 1, 0, 0},
    {"up 16 last", 16, 1920, 1280, 3, 1, 1, 0, 0},
    {"up 32 joined", 32, 1920, 640, 3, 1, 1, 0, 0},
    {"up 32 middle", 32, 1280, 640, 3, 1, 1, 0, 0},
    {"up 32 last", 32, 960, 640, 3, 1, 1, 0, 0},
    {"up 64 joined", 64, 960, 320, 3, 1, 1, 0, 0},
    {"up 64 middle", 64, 640, 320, 3, 1, 1, 0, 0},
    {"conv_out", 64, 320, 4, 3, 1, 0, 0, 1},
    {"decoder in", 64, 4, 512, 3, 1, 0, 0, 0},
    {"decoder 64", 64, 512, 512, 3, 1, 0, 0, 0},
    {"decoder 64 second", 64, 512, 512, 3, 1, 0, 1, 0},
    {"decoder 128", 128, 512, 512, 3, 1, 0, 1, 0},
    {"decoder 256", 256, 512, 256, 3, 1, 0, 0, 0},
    {"decoder 256 shortcut", 256, 512, 256, 1, 1, 0, 0, 0},
    {"decoder 256 second", 256, 256, 256, 3, 1, 0, 1, 0},
    {"decoder 512", 512, 256, 128, 3, 1, 0, 0, 0},
    {"decoder 512 second", 512, 128, 128, 3, 1, 0, 1, 0},
    {"decoder out", 512, 128, 3, 3, 1, 0, 0, 0},
};

struct heads {
  const char *name;
  int64_t tokens, keys;
  int heads, depth;
};
static const struct heads attentions[] = {
    {"self 64", 4096, 4096, 8, 40},
    {"self 32", 1024, 1024, 8, 80},
    {"self 16", 256, 256, 8, 160},
    {"self 8", 64, 64, 8, 160},
    {"self 64, heads of 64", 4096, 4096, 10, 64},
    {"decoder", 4096, 4096, 1, 512},
};

static struct library *library;
static int64_t counts[COUNTS_MAX] = {1, 2, 4, 8, 16};
static int counts_given = 5, surprises;

static void print_plan(const char *kind, const char *name, const struct plan *plan) {
  printf("%-11s %-24s engine %2lld, %8lld bytes, knobs", kind, name, (long long)plan->engine.number,
         (long long)plan->workspace_bytes);
  for (int64_t i = 0; i < plan->engine.knobs; i++) {
    printf(" %d=%lld", (int)plan->engine.knob[i], (long long)plan->engine.value[i]);
  }
}

typedef enum status plan_maker(struct library *, const void *, int64_t, size_t, struct plan **,
                               bool *);

static enum status convolution(struct library *opened, const void *problem, int64_t images,
                               size_t bytes, struct plan **out, bool *together) {
  return library_convolution_plan(opened, problem, images, bytes, out, together);
}

static enum status attention(struct library *opened, const void *problem, int64_t images,
                             size_t bytes, struct plan **out, bool *together) {
  return library_attention_plan(opened, problem, images, bytes, out, together);
}

/* What cuDNN does not serve must be known here: own. */
struct question {
  const char *kind, *name;
  plan_maker *maker;
  const void *problem;
  bool own;
};

static void ask(const struct question *question) {
  const char *kind = question->kind, *name = question->name;
  struct plan *plan = NULL;
  int64_t start = clock_ms();
  for (int i = 0; i < counts_given; i++) {
    bool together = false;
    enum status status =
        question->maker(library, question->problem, counts[i], WORKSPACE_BYTES, &plan, &together);
    if (status != OK) {
      printf("%-11s %-24s %s: %s\n", kind, name, status_name(status), fail_reason());
      surprises += !question->own || status != UNAVAILABLE;
      return;
    }
    if (i == 0) {
      print_plan(kind, name, plan);
      printf(", images");
    }
    printf(" %lld%s", (long long)counts[i], together ? "" : "(one by one)");
  }
  printf(", %lld ms\n", (long long)(clock_ms() - start));
  fflush(stdout);
}

static struct convolution_problem problem_of(const struct shape *s, enum element element) {
  int64_t height = s->height * s->stride;
  int pad = s->kernel / 2;
  return (struct convolution_problem){.element = element,
                                      .y_element = s->f32 ? ELEMENT_F32 : element,
                                      .has_bias = 1,
                                      .has_channel_add = s->channel_add,
                                      .has_residual = s->residual,
                                      .height = height,
                                      .width = height,
                                      .inputs = s->inputs,
                                      .out_height = s->height,
                                      .out_width = s->height,
                                      .outputs = s->outputs,
                                      .kernel_height = s->kernel,
                                      .kernel_width = s->kernel,
                                      .stride = s->stride,
                                      .pad_top = pad,
                                      .pad_left = pad,
                                      .pad_bottom = pad,
                                      .pad_right = pad,
                                      .y_row = s->height * s->outputs,
                                      .y_pixel = s->outputs};
}

static void ask_convolutions(enum element element) {
  for (size_t i = 0; i < sizeof shapes / sizeof shapes[0]; i++) {
    struct convolution_problem p = problem_of(&shapes[i], element);
    ask(&(struct question){element_name(element), shapes[i].name, convolution, &p, shapes[i].f32});
  }
  static const struct shape doubling = {"doubling 32", 32, 640, 640, 2, 1, 0, 0, 0};
  struct convolution_problem p = problem_of(&doubling, element);
  p.pad_bottom = p.pad_right = 0; /* the parity 0, 0: one row above, one pixel before */
  ask(&(struct question){element_name(element), "doubling 32 apart", convolution, &p, false});
  p.y_row *= 4;
  p.y_pixel *= 2;
  ask(&(struct question){element_name(element), "doubling 32 in place", convolution, &p, false});
}

static void ask_attentions(enum element element) {
  for (size_t i = 0; i < sizeof attentions / sizeof attentions[0]; i++) {
    const struct heads *h = &attentions[i];
    int64_t width = (int64_t)h->heads * h->depth, token = 3 * width;
    struct attention_problem p = {.element = element,
                                  .tokens = h->tokens,
                                  .keys = h->keys,
                                  .heads = h->heads,
                                  .depth = h->depth,
                                  .q_token = token,
                                  .k_token = token,
                                  .v_token = token,
                                  .y_token = width,
                                  .q_image = token * h->tokens,
                                  .k_image = token * h->keys,
                                  .v_image = token * h->keys,
                                  .y_image = width * h->tokens};
    ask(&(struct question){element_name(element), h->name, attention, &p, false});
  }
}

/* cuBLASLt chooses on a device only; what it is told can be said to it here. */
static void ask_products(enum element element) {
  static const struct product_problem kinds[] = {
      {.rows = 4096, .inputs = 320, .outputs = 960},
      {.rows = 4096, .inputs = 320, .outputs = 320, .has_bias = 1, .has_residual = 1},
      {.rows = 1024, .inputs = 640, .outputs = 5120, .has_bias = 1},
      {.rows = 1, .inputs = 320, .outputs = 1280, .has_bias = 1},
      {.rows = 77, .inputs = 768, .outputs = 768, .has_bias = 1, .has_residual = 1},
      {.rows = 64, .inputs = 4, .outputs = 4, .has_bias = 1},
  };
  for (size_t i = 0; i < 2 * sizeof kinds / sizeof kinds[0]; i++) {
    struct product_problem p = kinds[i / 2];
    p.element = element;
    p.y_element = i % 2 == 0 ? element : ELEMENT_F32;
    enum status status = library_product_describe(library, &p, 2);
    printf("%-11s product %lld x %lld -> %lld, %s: %s\n", element_name(element), (long long)p.rows,
           (long long)p.inputs, (long long)p.outputs, element_name(p.y_element),
           status == OK ? "described" : fail_reason());
    surprises += status != OK;
  }
}

int main(int argc, char **argv) {
  static char properties[4096];
  FILE *file = argc < 2 ? NULL : fopen(argv[1], "r");
  if (file == NULL || fread(properties, 1, sizeof properties - 1, file) == 0) {
    fprintf(stderr, "usage: graphs PROPERTIES.json [strict|fast] [IMAGES...]\n");
    return 64;
  }
  fclose(file);
  bool fast = argc > 2 && strcmp(argv[2], "fast") == 0;
  if (argc > 3) {
    for (counts_given = 0; counts_given < argc - 3 && counts_given < COUNTS_MAX; counts_given++) {
      counts[counts_given] = strtol(argv[counts_given + 3], NULL, 10);
    }
  }
  if (library_open_without_device(properties, fast ? DETERMINISM_FAST : DETERMINISM_STRICT,
                                  &library) != OK) {
    fprintf(stderr, "graphs: %s\n", fail_reason());
    return 69;
  }
  ask_products(ELEMENT_F16);
  ask_products(ELEMENT_BF16);
  ask_products(ELEMENT_F32);
  ask_convolutions(ELEMENT_F16);
  ask_attentions(ELEMENT_F16);
  ask_convolutions(ELEMENT_BF16);
  ask_attentions(ELEMENT_BF16);
  library_close(&library);
  return surprises != 0;
}
