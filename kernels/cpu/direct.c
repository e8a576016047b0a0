/* direct.c - which weights go to our own loop, their panels, and how a call is cut. */
#include "kernels/cpu/direct.h"

#include <string.h>

#include "kernels/cpu/bodies.h"

/* So many products are worth waking a thread for: some 30 us. */
#define GRAIN_PRODUCTS ((int64_t)3 << 20)
/* A weight larger than this does not stay in a last cache: then it is read once, and the picture is
 * read again for each panel. */
#define WEIGHT_BYTES_MAX ((int64_t)4 << 20)

/* Convolutions deeper than this are oneDNN's: there it is 2 to 6% faster, up to it ours is 0 to 5%
 * (README.md). */
enum { DEPTH_MAX = 2304 };

static int64_t taps_of(const struct weight *head) {
  return head->kernel_height * head->kernel_width;
}
static int64_t depth_of(const struct weight *head) { return head->inputs * taps_of(head); }

bool direct_takes(const struct cpu *cpu, const struct weight *head) {
  bool fast = taps_of(head) == 1 || depth_of(head) <= DEPTH_MAX;
  return cpu->direct && fast && head->element == ELEMENT_BF16 && head->inputs % 2 == 0 &&
         head->outputs % DIRECT_OUTPUTS == 0 && taps_of(head) <= DIRECT_TAPS_MAX;
}

enum status direct_pack(struct cpu *cpu, const struct weight_source *source,
                        struct cpu_weight *weight) {
  const struct weight *head = &weight->head;
  weight->panels_bytes = (size_t)(depth_of(head) * head->outputs) * sizeof(uint16_t);
  weight->panels = device_take(&cpu->head, weight->panels_bytes);
  if (weight->panels == NULL) {
    return EXHAUSTED;
  }
  const struct direct_source arguments = {.values = source->kernel.data,
                                          .element = source->kernel.element,
                                          .inputs = head->inputs,
                                          .taps = head->kernel_height * head->kernel_width,
                                          .packed = weight->panels};
  cpu_parallel(cpu, cpu->bodies->pack_direct, &arguments, head->outputs / DIRECT_OUTPUTS, 1);
  return OK;
}

enum status direct_run(struct cpu *cpu, struct cpu_weight *weight, int64_t batch,
                       struct direct *call) {
  const struct weight *head = &weight->head;
  size_t zeros = ((size_t)head->inputs * sizeof(uint16_t) + 63) / 64 * 64;
  char *lines = cpu_scratch(cpu, zeros);
  if (lines == NULL) {
    return EXHAUSTED;
  }
  memset(lines, 0, zeros);
  call->zeros = (const float *)(const void *)lines;
  call->packed = weight->panels;
  call->bias = weight->bias;
  call->inputs = head->inputs;
  call->outputs = head->outputs;
  call->kernel_height = head->kernel_height;
  call->kernel_width = head->kernel_width;
  call->pixels = batch * call->out_height * call->out_width;
  call->blocks = (call->pixels + DIRECT_PIXELS - 1) / DIRECT_PIXELS;
  call->panels = head->outputs / DIRECT_OUTPUTS;
  int64_t x_bytes = batch * call->height * call->width * head->inputs * (int64_t)sizeof(uint16_t);
  call->panels_first =
      (int64_t)weight->panels_bytes > WEIGHT_BYTES_MAX && (int64_t)weight->panels_bytes > x_bytes;
  int64_t pixels = call->pixels < DIRECT_PIXELS ? call->pixels : DIRECT_PIXELS;
  int64_t grain = GRAIN_PRODUCTS / (pixels * DIRECT_OUTPUTS * depth_of(head)) + 1;
  cpu_parallel(cpu, cpu->bodies->direct, call, call->blocks * call->panels, grain);
  return OK;
}
