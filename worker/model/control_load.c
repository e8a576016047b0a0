/* control_load.c - names and widths of every layer, as diffusers' ControlNetModel builds them. */
#include <string.h>

#include "worker/model/control_inside.h"

#define PICTURE_CHANNELS 3

/* ---- the picture's net ---- */

/* Swaps the first and the last of a kernel's input channels, so that a net which was trained on
 * blue, green, red is given pictures as all others are. Kernels are [O, 3, kh, kw]. */
static void turn_channels(struct tensor *kernel) {
  size_t plane = (size_t)(kernel->shape[2] * kernel->shape[3]) * element_bytes(kernel->element);
  char *values = kernel->data, swapped[64];
  for (int64_t o = 0; o < kernel->shape[0]; o++) {
    char *red = values + (size_t)(o * PICTURE_CHANNELS) * plane, *blue = red + 2 * plane;
    memcpy(swapped, red, plane);
    memcpy(red, blue, plane);
    memcpy(blue, swapped, plane);
  }
}

/* How wide the file's own layers are. */
static void measure_hint(const struct loader *loader, struct control_facts *facts) {
  int64_t width = weights_side(loader->file, "controlnet_cond_embedding.conv_in.weight", 0);
  facts->hint_levels = 0;
  while (width > 0 && facts->hint_levels < CONTROL_HINT_LEVELS_MAX) {
    facts->hint_channels[facts->hint_levels++] = (int)width;
    width = weights_side(
        loader->file,
        name_of("controlnet_cond_embedding.blocks.%d.weight", 2 * facts->hint_levels - 1).text, 0);
  }
}

static enum status load_first(struct loader *loader, const struct control_facts *facts,
                              struct weight **out) {
  struct module_name name = name_of("controlnet_cond_embedding.conv_in");
  int64_t outputs = facts->hint_channels[0];
  if (!facts->blue_first) {
    return load_conv(loader, name.text, outputs, PICTURE_CHANNELS, out);
  }
  struct weight_source source = {0};
  struct tensor kernel;
  TRY(weights_take(loader->file, name_of("%s.weight", name.text).text,
                   TENSOR_SHAPE(outputs, PICTURE_CHANNELS, 3, 3), &kernel));
  TRY(weights_take(loader->file, name_of("%s.bias", name.text).text, TENSOR_SHAPE(outputs),
                   &source.bias));
  TRY(tensor_take(loader->scratch, kernel.element, kernel.rank, kernel.shape, &source.kernel));
  memcpy(source.kernel.data, kernel.data, tensor_bytes(&kernel));
  turn_channels(&source.kernel);
  enum status status = load_given(loader, &source, out);
  arena_drop(loader->scratch);
  return status;
}

static enum status load_hint(struct loader *loader, struct control *control) {
  const struct control_facts *facts = &control->facts;
  const int *channels = facts->hint_channels;
  struct control_hint_layer *layer = control->hint;
  if (facts->hint_levels == 0) {
    return fail_field(BAD_INPUT, "weights",
                      "\"controlnet_cond_embedding.conv_in.weight\" is missing");
  }
  TRY(load_first(loader, facts, &layer++->conv));
  for (int i = 0; i + 1 < facts->hint_levels; i++) {
    TRY(load_conv(loader, name_of("controlnet_cond_embedding.blocks.%d", 2 * i).text, channels[i],
                  channels[i], &layer++->conv));
    layer->halves = true;
    TRY(load_conv(loader, name_of("controlnet_cond_embedding.blocks.%d", 2 * i + 1).text,
                  channels[i + 1], channels[i], &layer++->conv));
  }
  TRY(load_conv(loader, "controlnet_cond_embedding.conv_out", facts->unet.channels[0],
                channels[facts->hint_levels - 1], &layer++->conv));
  control->hint_layers = (int)(layer - control->hint);
  return OK;
}

/* ---- what it says of the skips ---- */

static enum status load_zero(struct loader *loader, struct control *control, int64_t channels) {
  struct matrix_shape square = {channels, channels, true};
  struct module_name name = name_of("controlnet_down_blocks.%d", control->skips);
  return load_matrix(loader, name.text, square, &control->zero[control->skips++]);
}

/* One of conv_in's picture, of each layer's and of what halves it: as the U-Net's skips lie. */
static enum status load_zeros(struct loader *loader, struct control *control) {
  const struct unet_facts *facts = &control->facts.unet;
  TRY(load_zero(loader, control, facts->channels[0]));
  for (int level = 0; level < facts->levels; level++) {
    int pictures = facts->layers_per_block + (level < facts->levels - 1);
    for (int i = 0; i < pictures; i++) {
      TRY(load_zero(loader, control, facts->channels[level]));
    }
  }
  int64_t deepest = facts->channels[facts->levels - 1];
  return load_matrix(loader, "controlnet_mid_block", (struct matrix_shape){deepest, deepest, true},
                     &control->zero[control->skips++]);
}

/* ---- pooling ---- */

/* An arena on the device is not the host's to clear. */
static enum status load_query(struct loader *loader, struct control *control) {
  int64_t widest = 0;
  for (int level = 0; level < control->facts.unet.levels; level++) {
    int64_t channels = control->facts.unet.channels[level];
    widest = channels > widest ? channels : widest;
  }
  struct tensor zeros;
  TRY(tensor_take(loader->on_device, loader->element, TENSOR_SHAPE(BATCH_ROWS_MAX, 1, widest),
                  &control->zeros));
  TRY(tensor_take(loader->scratch, loader->element, control->zeros.rank, control->zeros.shape,
                  &zeros));
  memset(zeros.data, 0, tensor_bytes(&zeros));
  enum status status =
      device_put(loader->device, zeros.data, tensor_bytes(&zeros), &control->zeros);
  arena_drop(loader->scratch);
  return status;
}

enum status control_load(struct loader *loader, struct control *control) {
  if (control->facts.hint_levels == 0) {
    measure_hint(loader, &control->facts);
  }
  TRY(load_hint(loader, control));
  TRY(unet_half_load(loader, &control->facts.unet, &control->half));
  TRY(load_zeros(loader, control));
  return control->facts.pools ? load_query(loader, control) : OK;
}
