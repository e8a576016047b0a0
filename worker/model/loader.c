/* loader.c - take by name, join or convert where needed, pack. */
#include "worker/model/loader.h"

#include <string.h>

#define REFUSE(...) fail_field(BAD_INPUT, "weights", __VA_ARGS__)

/* What has been given to the device is needed no more: so a load holds no more of its files than
 * one layer. */
static enum status given(struct loader *loader, enum status status) {
  arena_drop(loader->scratch);
  weights_give_back(loader->file);
  return status == OK && loader->pauses != NULL ? loader->pauses->between(loader->pauses->context)
                                                : status;
}

/* ---- what adapters may change ---- */

/* transformers before 5.6 puts a text encoder's layers below "text_model.", later ones do not: the
 * list has them below it, as adapters' files do. */
static struct module_name listed_name(enum network network, const char *name) {
  static const char prefix[] = "text_model.";
  bool whole = network == NETWORK_UNET || strncmp(name, prefix, strlen(prefix)) == 0 ||
               strcmp(name, "text_projection") == 0;
  return name_of("%s%s", whole ? "" : prefix, name);
}

static enum status list(struct loader *loader, const struct module *module) {
  bool changes = loader->network == NETWORK_UNET || loader->network == NETWORK_TEXT ||
                 loader->network == NETWORK_TEXT_2;
  if (loader->modules == NULL || !changes) {
    return OK;
  }
  struct module listed = *module;
  struct module_name name = listed_name(loader->network, module->name);
  listed.network = loader->network;
  listed.name = name.text;
  return modules_add(loader->modules, &listed);
}

static struct module module_of(const char *name, enum module_kind kind, struct matrix_shape shape,
                               const void *held) {
  return (struct module){.name = name,
                         .kind = kind,
                         .outputs = shape.outputs,
                         .inputs = shape.inputs,
                         .bias = shape.bias,
                         .parts = 1,
                         .held = held};
}

/* ---- matrices and convolutions ---- */

/* What a packed weight will take, about: a convolution behind a growth of the picture is four of
 * 2x2, and layouts are padded. */
static size_t bytes_to_come(const struct loader *loader, const struct weight_source *source) {
  size_t bytes = (size_t)tensor_count(&source->kernel) * element_bytes(loader->element);
  bytes = source->doubling ? bytes / 9 * 16 : bytes;
  return bytes + bytes / 8 + (size_t)source->kernel.shape[0] * sizeof(float);
}

/* The device is the load's alone between two pauses, so what it has more now is ours. */
static void count_since(struct loader *loader, size_t before) {
  loader->bytes += device_memory_used(loader->device) - before;
}

static enum status pack(struct loader *loader, struct weight_source *source, struct weight **out) {
  source->element = loader->element;
  struct packed *link = arena_take(loader->host, sizeof *link);
  if (link == NULL) {
    return EXHAUSTED;
  }
  if (loader->dry) {
    loader->bytes += bytes_to_come(loader, source);
    return weight_outline(loader->device, source, loader->host, out);
  }
  size_t before = device_memory_used(loader->device);
  TRY(weight_pack(loader->device, source, out));
  count_since(loader, before);
  *link = (struct packed){*out, loader->packed};
  loader->packed = link;
  return OK;
}

void packed_close(struct packed **list) {
  for (struct packed *link = *list; link != NULL; link = link->next) {
    weight_close(&link->weight);
  }
  *list = NULL;
}

static enum status take_bias(struct loader *loader, const char *name, struct matrix_shape shape,
                             struct tensor *out) {
  *out = (struct tensor){0};
  if (!shape.bias) {
    return OK;
  }
  return weights_take(loader->file, name_of("%s.bias", name).text, TENSOR_SHAPE(shape.outputs),
                      out);
}

/* Stable Diffusion 1 stores some linear layers as 1x1 convolutions: [O, I, 1, 1] is accepted for
 * [O, I]. */
static enum status take_matrix(struct loader *loader, const char *name, struct matrix_shape shape,
                               struct weight_source *out) {
  struct module_name kernel = name_of("%s.weight", name);
  if (weights_rank(loader->file, kernel.text) == 4) {
    TRY(weights_take(loader->file, kernel.text, TENSOR_SHAPE(shape.outputs, shape.inputs, 1, 1),
                     &out->kernel));
    out->kernel = tensor_view(&out->kernel, TENSOR_SHAPE(shape.outputs, shape.inputs));
  } else {
    TRY(weights_take(loader->file, kernel.text, TENSOR_SHAPE(shape.outputs, shape.inputs),
                     &out->kernel));
  }
  return take_bias(loader, name, shape, &out->bias);
}

enum status load_matrix(struct loader *loader, const char *name, struct matrix_shape shape,
                        struct weight **out) {
  return load_matrix_bare(loader, name, shape, out, NULL);
}

enum status load_matrix_bare(struct loader *loader, const char *name, struct matrix_shape shape,
                             struct weight **out, struct weight **bare) {
  struct weight_source source = {0};
  TRY(take_matrix(loader, name, shape, &source));
  struct weight *packed = NULL;
  if (bare != NULL) {
    TRY(pack(loader, &(struct weight_source){.kernel = source.kernel}, bare));
  }
  TRY(given(loader, pack(loader, &source, &packed)));
  struct module module = module_of(name, MODULE_LINEAR, shape, packed);
  TRY(list(loader, &module));
  *out = packed;
  return OK;
}

static enum status take_conv(struct loader *loader, const char *name, struct matrix_shape shape,
                             struct weight_source *out) {
  *out = (struct weight_source){0};
  TRY(weights_take(loader->file, name_of("%s.weight", name).text,
                   TENSOR_SHAPE(shape.outputs, shape.inputs, 3, 3), &out->kernel));
  return take_bias(loader, name, shape, &out->bias);
}

enum status load_conv(struct loader *loader, const char *name, int64_t outputs, int64_t inputs,
                      struct weight **out) {
  struct matrix_shape shape = {outputs, inputs, true};
  struct weight_source source;
  TRY(take_conv(loader, name, shape, &source));
  struct weight *packed = NULL;
  TRY(given(loader, pack(loader, &source, &packed)));
  struct module module = module_of(name, MODULE_CONV, shape, packed);
  TRY(list(loader, &module));
  *out = packed;
  return OK;
}

enum status load_growing_conv(struct loader *loader, const char *name, int64_t channels,
                              struct weight **plain, struct weight **doubling) {
  struct matrix_shape shape = {channels, channels, true};
  struct weight_source source;
  TRY(take_conv(loader, name, shape, &source));
  if (plain != NULL) {
    TRY(pack(loader, &source, plain));
  }
  source.doubling = true;
  TRY(given(loader, pack(loader, &source, doubling)));
  struct module module = module_of(name, MODULE_CONV, shape, plain != NULL ? *plain : NULL);
  module.doubling = *doubling;
  return list(loader, &module);
}

/* Copies the part to its place: parts are of one size. The first part decides the type. */
static enum status append_part(const struct loader *loader, const char *name,
                               const struct tensor *part, int64_t index, struct tensor *joined) {
  if (part->element != joined->element) {
    return REFUSE("\"%s\" is %s, the tensors it is joined with are %s", name,
                  element_name(part->element), element_name(joined->element));
  }
  size_t bytes = tensor_bytes(part);
  if (!loader->dry) {
    memcpy((char *)joined->data + (size_t)index * bytes, part->data, bytes);
  }
  return OK;
}

/* Room for `count` parts like this one, rows under rows. */
static enum status take_joined(struct loader *loader, const struct tensor *part, int64_t count,
                               struct tensor *out) {
  struct tensor like = *part;
  like.shape[0] *= count;
  return tensor_take(loader->scratch, like.element, like.rank, like.shape, out);
}

static int count_parts(const char *const *parts) {
  int count = 0;
  while (parts[count] != NULL) {
    count++;
  }
  return count;
}

static enum status join(struct loader *loader, const char *prefix, const char *const *parts,
                        struct matrix_shape each, struct weight_source *out) {
  int64_t count = count_parts(parts);
  *out = (struct weight_source){0};
  for (int64_t i = 0; i < count; i++) {
    struct module_name name = name_of("%s.%s", prefix, parts[i]);
    struct weight_source part = {0};
    TRY(take_matrix(loader, name.text, each, &part));
    if (i == 0) {
      TRY(take_joined(loader, &part.kernel, count, &out->kernel));
    }
    if (i == 0 && each.bias) {
      TRY(take_joined(loader, &part.bias, count, &out->bias));
    }
    TRY(append_part(loader, name.text, &part.kernel, i, &out->kernel));
    if (each.bias) {
      TRY(append_part(loader, name.text, &part.bias, i, &out->bias));
    }
  }
  return OK;
}

enum status load_joined(struct loader *loader, const char *prefix, const char *const *parts,
                        struct matrix_shape each, struct weight **out) {
  struct weight_source source = {0};
  enum status status = join(loader, prefix, parts, each, &source);
  if (status == OK) {
    status = pack(loader, &source, out);
  }
  TRY(given(loader, status));
  for (int i = 0; parts[i] != NULL; i++) {
    struct module_name name = name_of("%s.%s", prefix, parts[i]);
    struct module module = module_of(name.text, MODULE_LINEAR, each, *out);
    module.part = i;
    module.parts = count_parts(parts);
    TRY(list(loader, &module));
  }
  return OK;
}

enum status load_given(struct loader *loader, struct weight_source *source, struct weight **out) {
  struct weight *packed = NULL;
  TRY(given(loader, pack(loader, source, &packed)));
  *out = packed;
  return OK;
}

/* ---- norms and tables ---- */

static float value_at(const struct tensor *tensor, int64_t i) {
  switch (tensor->element) {
    case ELEMENT_BF16:
      return bf16_to_f32(((const uint16_t *)tensor->data)[i]);
    case ELEMENT_F16:
      return f16_to_f32(((const uint16_t *)tensor->data)[i]);
    default:
      return ((const float *)tensor->data)[i];
  }
}

static void set_value(struct tensor *tensor, int64_t i, float value) {
  switch (tensor->element) {
    case ELEMENT_BF16:
      ((uint16_t *)tensor->data)[i] = f32_to_bf16(value);
      break;
    case ELEMENT_F16:
      ((uint16_t *)tensor->data)[i] = f32_to_f16(value);
      break;
    default:
      ((float *)tensor->data)[i] = value;
  }
}

/* Gives a host tensor to the device in another type. */
static enum status put_as(struct loader *loader, const struct tensor *from, enum element element,
                          struct tensor *out) {
  struct tensor converted;
  size_t before = device_memory_used(loader->device);
  TRY(tensor_take(loader->on_device, element, from->rank, from->shape, out));
  if (loader->dry) {
    loader->bytes += tensor_bytes(out);
    return OK;
  }
  count_since(loader, before);
  TRY(tensor_take(loader->scratch, element, from->rank, from->shape, &converted));
  for (int64_t i = 0; i < tensor_count(from); i++) {
    set_value(&converted, i, value_at(from, i));
  }
  return device_put(loader->device, converted.data, tensor_bytes(&converted), out);
}

enum status load_norm(struct loader *loader, const char *name, struct norm_shape shape,
                      struct norm *out) {
  struct tensor gamma, beta;
  TRY(weights_take(loader->file, name_of("%s.weight", name).text, TENSOR_SHAPE(shape.channels),
                   &gamma));
  TRY(weights_take(loader->file, name_of("%s.bias", name).text, TENSOR_SHAPE(shape.channels),
                   &beta));
  struct norm norm = {.epsilon = shape.epsilon, .groups = shape.groups};
  TRY(put_as(loader, &gamma, ELEMENT_F32, &norm.gamma));
  TRY(put_as(loader, &beta, ELEMENT_F32, &norm.beta));
  struct matrix_shape channels = {shape.channels, 1, true};
  struct module module = module_of(name, MODULE_NORM, channels, norm.gamma.data);
  module.epsilon = shape.epsilon;
  module.groups = shape.groups;
  TRY(list(loader, &module));
  TRY(given(loader, OK));
  *out = norm;
  return OK;
}

enum status load_table(struct loader *loader, const char *name, int64_t rows, int64_t columns,
                       struct tensor *out) {
  struct tensor table;
  TRY(weights_take(loader->file, name_of("%s.weight", name).text, TENSOR_SHAPE(rows, columns),
                   &table));
  return given(loader, put_as(loader, &table, loader->element, out));
}
