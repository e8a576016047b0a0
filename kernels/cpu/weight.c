/* weight.c - weights packed into the layouts oneDNN asks for, by our own loop.
 *
 * oneDNN's layouts are blocked strides, so the place of an element is a sum of one number per
 * dimension: four small tables move any layout into any other, converting types on the way. The
 * layout is chosen for a middling shape at load; a shape that wants another one packs the weight
 * again when it first comes by.
 */
#include "kernels/cpu/weight.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/progress.h"
#include "kernels/cpu/cpu.h"
#include "kernels/cpu/direct.h"
#include "kernels/cpu/primitive.h"
#include "kernels/cpu/strips.h"

enum { NOMINAL_SIDE = 32, NOMINAL_ROWS = 256 };

static int64_t place_of(const struct blocking *b, int dimension, int64_t position) {
  int64_t place = 0, step = 1;
  for (int i = b->blocks - 1; i >= 0; i--) {
    if (b->dimensions[i] == dimension) {
      place += position % b->sizes[i] * step;
      position /= b->sizes[i];
    }
    step *= b->sizes[i];
  }
  return place + position * b->strides[dimension];
}

static enum status places_open(const_layout of, struct places *out) {
  const struct blocking blocking = layout_blocking(of);
  struct places places = {.rank = blocking.rank, .shape = {1, 1, 1, 1}};
  assert(places.rank <= TENSOR_RANK_MAX);
  int64_t total = TENSOR_RANK_MAX;
  for (int d = 0; d < places.rank; d++) {
    places.shape[d] = blocking.shape[d];
    total += blocking.shape[d];
  }
  places.memory = calloc((size_t)total, sizeof *places.memory);
  if (places.memory == NULL) {
    return fail(EXHAUSTED, "no memory to pack a weight");
  }
  int64_t *next = places.memory;
  for (int d = 0; d < TENSOR_RANK_MAX; d++) {
    places.place[d] = next;
    for (int64_t i = 0; i < places.shape[d]; i++) {
      *next++ = d < places.rank ? place_of(&blocking, d, i) : 0;
    }
  }
  *out = places;
  return OK;
}

static void move_row(const struct values *from, const struct values *to, int64_t a, int64_t b) {
  int64_t from_start = from->places->place[0][a] + from->places->place[1][b];
  int64_t to_start = to->places->place[0][a] + to->places->place[1][b];
  size_t from_size = element_bytes(from->element), to_size = element_bytes(to->element);
  for (int64_t c = 0; c < to->places->shape[2]; c++) {
    for (int64_t d = 0; d < to->places->shape[3]; d++) {
      int64_t source = from_start + from->places->place[2][c] + from->places->place[3][d];
      int64_t target = to_start + to->places->place[2][c] + to->places->place[3][d];
      const char *source_data = (const char *)from->data + source * (int64_t)from_size;
      char *target_data = (char *)to->data + target * (int64_t)to_size;
      if (from->element == to->element) {
        memcpy(target_data, source_data, to_size);
      } else {
        float value;
        elements_to_f32(from->element, source_data, 1, &value);
        elements_from_f32(to->element, &value, 1, target_data);
      }
    }
  }
}

static void move_rows(const struct cpu *cpu, const struct values *from, const struct values *to) {
  assert(cpu->head.threads > 0);
#pragma omp parallel for num_threads(cpu->head.threads) schedule(static)
  for (int64_t a = 0; a < to->places->shape[0]; a++) {
    for (int64_t b = 0; b < to->places->shape[1]; b++) {
      move_row(from, to, a, b);
    }
    progress_count();
  }
}

static enum status move_values(struct cpu *cpu, const_layout from_layout, struct values *from,
                               const_layout to_layout, struct values *to) {
  struct places source = {0}, target = {0};
  enum status status = places_open(from_layout, &source);
  status = status != OK ? status : places_open(to_layout, &target);
  if (status == OK) {
    from->places = &source;
    to->places = &target;
    if (!strips_move(cpu, from, to)) {
      move_rows(cpu, from, to);
    }
  }
  from->places = to->places = NULL;
  free(source.memory);
  free(target.memory);
  return status;
}

/* ---- a weight's layouts ---- */

static void drop_packed(struct cpu *cpu, struct packed *packed) {
  if (packed->memory != NULL) {
    dnnl_memory_destroy(packed->memory);
    device_drop(&cpu->head, packed->data, packed->bytes);
    layout_close(&packed->layout);
    memset(packed, 0, sizeof *packed);
  }
}

/* Takes memory for a layout; padding between blocks must be zero, so all of it is. */
static enum status take_packed(struct cpu *cpu, const_layout wanted, struct packed *out) {
  struct packed packed = {.bytes = dnnl_memory_desc_get_size(wanted)};
  packed.data = device_take(&cpu->head, packed.bytes);
  if (packed.data == NULL) {
    return EXHAUSTED;
  }
  memset(packed.data, 0, packed.bytes);
  enum status status = library_check(
      dnnl_memory_create(&packed.memory, wanted, library_engine(cpu->library), packed.data),
      "a weight's memory");
  status = status != OK ? status : layout_copy(wanted, &packed.layout);
  if (status != OK) {
    dnnl_memory_destroy(packed.memory);
    device_drop(&cpu->head, packed.data, packed.bytes);
    return status;
  }
  *out = packed;
  return OK;
}

static struct packed *find_layout(struct cpu_weight *weight, const_layout wanted) {
  for (int i = 0; i < WEIGHT_LAYOUTS_MAX; i++) {
    if (weight->packed[i].memory != NULL &&
        dnnl_memory_desc_equal(weight->packed[i].layout, wanted)) {
      return &weight->packed[i];
    }
  }
  return NULL;
}

/* One of our layouts that oneDNN would run with the same code as its favourite. */
static struct packed *find_equivalent(struct cpu *cpu, struct cpu_weight *weight,
                                      const struct problem *problem, const char *wanted) {
  for (int i = 0; i < WEIGHT_LAYOUTS_MAX; i++) {
    struct packed *packed = &weight->packed[i];
    dnnl_primitive_desc_t description;
    if (packed->memory == NULL || primitive_describe(library_engine(cpu->library), problem, 1,
                                                     packed->layout, &description) != OK) {
      continue;
    }
    bool same = strcmp(primitive_name(description), wanted) == 0;
    dnnl_primitive_desc_destroy(description);
    if (same) {
      return packed;
    }
  }
  return NULL;
}

/* Where a further layout goes: an empty place, else the last one, whose problems must then ask
 * again. */
static struct packed *free_place(struct cpu *cpu, struct cpu_weight *weight) {
  for (int i = 0; i < WEIGHT_LAYOUTS_MAX; i++) {
    if (weight->packed[i].memory == NULL) {
      return &weight->packed[i];
    }
  }
  struct packed *last = &weight->packed[WEIGHT_LAYOUTS_MAX - 1];
  for (int i = 0; i < SUITED_MAX; i++) {
    weight->suited[i].packed = weight->suited[i].packed == last ? NULL : weight->suited[i].packed;
  }
  drop_packed(cpu, last);
  return last;
}

static enum status pack_again(struct cpu *cpu, struct cpu_weight *weight, const_layout wanted,
                              struct packed **out) {
  struct packed fresh;
  struct packed *first = &weight->packed[0];
  enum element element = weight->head.element;
  TRY(take_packed(cpu, wanted, &fresh));
  struct values from = {NULL, element, first->data}, to = {NULL, element, fresh.data};
  enum status status = move_values(cpu, first->layout, &from, wanted, &to);
  if (status != OK) {
    drop_packed(cpu, &fresh);
    return status;
  }
  if (!first->used) { /* the guess made at load was wrong: nobody needs it */
    drop_packed(cpu, first);
    *out = first;
  } else {
    *out = free_place(cpu, weight);
  }
  **out = fresh;
  return OK;
}

static enum status choose(struct cpu *cpu, struct cpu_weight *weight, const struct problem *problem,
                          struct packed **out) {
  dnnl_primitive_desc_t favourite;
  TRY(primitive_describe(library_engine(cpu->library), problem, 1, NULL, &favourite));
  struct packed *packed = find_layout(weight, primitive_layout(favourite));
  if (packed == NULL) {
    packed = find_equivalent(cpu, weight, problem, primitive_name(favourite));
  }
  enum status status = OK;
  if (packed == NULL) {
    status = pack_again(cpu, weight, primitive_layout(favourite), &packed);
  }
  dnnl_primitive_desc_destroy(favourite);
  TRY(status);
  *out = packed;
  return OK;
}

enum status weight_suit(struct cpu *cpu, struct cpu_weight *weight, const struct problem *problem,
                        struct packed **out) {
  for (int i = 0; i < SUITED_MAX; i++) {
    struct suited *suited = &weight->suited[i];
    if (suited->packed != NULL && memcmp(&suited->problem, problem, sizeof *problem) == 0) {
      *out = suited->packed;
      return OK;
    }
  }
  TRY(choose(cpu, weight, problem, out));
  (*out)->used = true;
  weight->suited[weight->next_suited] = (struct suited){*problem, *out};
  weight->next_suited = (weight->next_suited + 1) % SUITED_MAX;
  return OK;
}

/* ---- loading ---- */

/* The layout of a checkpoint: [O, I, kh, kw], or [O, I] seen as oneDNN's [I, O] of a product. */
static enum status open_source(const struct problem *p, layout *out) {
  const dnnl_dims_t kernel = {p->outputs, p->inputs, p->kernel_height, p->kernel_width};
  const dnnl_dims_t matrix = {p->inputs, p->outputs};
  return p->kind == PROBLEM_CONV ? layout_open(4, kernel, ELEMENT_F32, dnnl_abcd, out)
                                 : layout_open(2, matrix, ELEMENT_F32, dnnl_ba, out);
}

static struct problem nominal_problem(const struct cpu *cpu, const struct weight_source *source) {
  const struct weight head = weight_head(NULL, source);
  struct problem p;
  bool has_bias = source->bias.data != NULL;
  if (source->kernel.rank == 2) {
    p = matmul_problem(cpu_products_by_convolution(cpu), &head, NOMINAL_ROWS, has_bias);
  } else {
    p = conv_problem(&head, has_bias);
    p.height = p.width = NOMINAL_SIDE;
    p.pad_top = p.pad_bottom = p.pad_left = p.pad_right = (int)(head.kernel_height / 2);
    p.out_height = p.height + 2 * p.pad_top - head.kernel_height + 1;
    p.out_width = p.width + 2 * p.pad_left - head.kernel_width + 1;
  }
  return p;
}

static enum status pack_from(struct cpu *cpu, const struct weight_source *source,
                             const_layout plain, struct packed *out) {
  const struct problem problem = nominal_problem(cpu, source);
  dnnl_primitive_desc_t favourite;
  TRY(primitive_describe(library_engine(cpu->library), &problem, 1, NULL, &favourite));
  enum status status = take_packed(cpu, primitive_layout(favourite), out);
  dnnl_primitive_desc_destroy(favourite);
  if (status == OK) {
    struct values from = {NULL, source->kernel.element, source->kernel.data};
    struct values to = {NULL, source->element, out->data};
    status = move_values(cpu, plain, &from, out->layout, &to);
  }
  return status;
}

static enum status pack_first(struct cpu *cpu, const struct weight_source *source,
                              struct packed *out) {
  const struct problem problem = nominal_problem(cpu, source);
  layout plain;
  TRY(open_source(&problem, &plain));
  enum status status = pack_from(cpu, source, plain, out);
  layout_close(&plain);
  return status;
}

/* The bias lies behind the weight's struct, aligned: oneDNN's SSE code loads it as whole registers.
 */
static size_t bias_offset(void) { return (sizeof(struct cpu_weight) + 63) / 64 * 64; }

static size_t head_bytes(int64_t outputs) {
  return bias_offset() + ((size_t)outputs + 15) / 16 * 16 * sizeof(float);
}

static enum status pack_plain(struct device *device, const struct weight_source *source,
                              struct weight **out) {
  struct cpu *cpu = cpu_of(device);
  struct cpu_weight *weight = device_take(device, head_bytes(source->kernel.shape[0]));
  if (weight == NULL) {
    return EXHAUSTED;
  }
  memset(weight, 0, sizeof *weight);
  weight->head = weight_head(device, source);
  if (source->bias.data != NULL) {
    weight->bias = (float *)((char *)weight + bias_offset());
    elements_to_f32(source->bias.element, source->bias.data, weight->head.outputs, weight->bias);
  }
  enum status status = direct_takes(cpu, &weight->head)
                           ? direct_pack(cpu, source, weight)
                           : pack_first(cpu, source, &weight->packed[0]);
  struct weight *head = &weight->head;
  if (status != OK) {
    weight_close(&head);
    return status;
  }
  *out = head;
  return OK;
}

/* ---- the four kernels of a doubling weight ---- */

static enum status pack_parities(struct device *device, const struct weight_source *source,
                                 float *room, struct cpu_doubling *out) {
  for (int i = 0; i < 4; i++) {
    struct weight_source parity = {
        .kernel = source->kernel, .bias = source->bias, .element = source->element};
    parity.kernel.data = room;
    parity.kernel.element = ELEMENT_F32;
    parity.kernel.shape[2] = parity.kernel.shape[3] = 2;
    weight_doubled(source, i / 2, i % 2, room);
    TRY(pack_plain(device, &parity, &out->parity[i]));
  }
  return OK;
}

static void close_doubling(struct weight *head) {
  struct cpu_doubling *doubling = (struct cpu_doubling *)head;
  for (int i = 0; i < 4; i++) {
    weight_close(&doubling->parity[i]);
  }
  device_drop(head->device, doubling, sizeof *doubling);
}

static enum status pack_doubling(struct device *device, const struct weight_source *source,
                                 struct weight **out) {
  size_t bytes = (size_t)(source->kernel.shape[0] * source->kernel.shape[1]) * 4 * sizeof(float);
  struct cpu_doubling *doubling = device_take(device, sizeof *doubling);
  float *room = device_take(device, bytes);
  if (doubling == NULL || room == NULL) {
    device_drop(device, doubling, sizeof *doubling);
    device_drop(device, room, bytes);
    return EXHAUSTED;
  }
  *doubling = (struct cpu_doubling){.head = weight_head(device, source)};
  enum status status = pack_parities(device, source, room, doubling);
  device_drop(device, room, bytes);
  if (status != OK) {
    close_doubling(&doubling->head);
    return status;
  }
  *out = &doubling->head;
  return OK;
}

enum status cpu_pack(struct device *device, const struct weight_source *source,
                     struct weight **out) {
  return source->doubling ? pack_doubling(device, source, out) : pack_plain(device, source, out);
}

void cpu_weight_close(struct weight *head) {
  if (head->doubling) {
    close_doubling(head);
    return;
  }
  struct cpu_weight *weight = (struct cpu_weight *)head;
  struct cpu *cpu = cpu_of(head->device);
  for (int i = 0; i < WEIGHT_LAYOUTS_MAX; i++) {
    drop_packed(cpu, &weight->packed[i]);
  }
  device_drop(&cpu->head, weight->panels, weight->panels_bytes);
  device_drop(&cpu->head, weight, head_bytes(head->outputs));
}
