/* control.c - opening a control net, its scales, and what it makes of a prompt. */
#include "worker/model/control.h"

#include <assert.h>
#include <math.h>

#include "worker/model/control_inside.h"
#include "worker/model/model.h"

/* ---- opening ---- */

static enum status load(struct loader *loader, void *context) {
  return control_load(loader, context);
}

enum status control_open(struct device *device, const struct model_source *source,
                         const struct family *family, struct control **out) {
  struct lone lone;
  struct control_facts facts;
  TRY(control_facts_read(source, family, &facts));
  TRY(control_facts_fit(&facts, family));
  TRY(lone_open(device, &lone));
  struct control *control = arena_take_zeroed(lone.host, sizeof *control);
  if (control == NULL) {
    lone_close(&lone);
    return EXHAUSTED;
  }
  control->lone = lone;
  control->facts = facts;
  enum status status =
      lone_load(&control->lone, source, NETWORK_CONTROL, &(struct lone_load){load, control});
  if (status == OK) {
    status = control_facts_fit(&control->facts, family); /* what was measured, too */
  }
  if (status != OK) {
    control_close(&control);
    return status;
  }
  *out = control;
  return OK;
}

void control_close(struct control **pointer) {
  if (pointer == NULL || *pointer == NULL) {
    return;
  }
  struct lone lone = (*pointer)->lone; /* the struct itself lies in it */
  lone_close(&lone);
  *pointer = NULL;
}

size_t control_bytes(const struct control *control) { return control->lone.bytes; }

enum status control_fits(const struct control *control, const struct family *family) {
  return control_facts_fit(&control->facts, family);
}

/* ---- scales ---- */

int control_skips(const struct control *control) { return control->skips; }

/* diffusers' ControlNetModel.forward, "6. scaling" */
void control_scales(const struct control *control, double scale, bool guess, float *out) {
  int last = control->skips - 1;
  for (int i = 0; i < CONTROL_SKIPS_MAX; i++) {
    bool grows = guess && !control->facts.pools;
    double part = grows ? pow(10, (double)i / last - 1) : 1;
    out[i] = i <= last ? (float)(part * scale) : 0;
  }
}

/* ---- prompts ---- */

static enum status take_conditioning(const struct control *control, struct arena *keep,
                                     const struct conditioning *of, struct conditioning *out) {
  const struct unet_half *half = &control->half;
  enum element element = device_element(control->lone.device);
  int64_t tokens = of->embedding.shape[0], added = unet_half_added_width(half);
  *out = (struct conditioning){.embedding = of->embedding};
  TRY(tensor_take(keep, element, TENSOR_SHAPE(tokens * half->context_columns), &out->keys_values));
  return added > 0 ? tensor_take(keep, element, TENSOR_SHAPE(1, added), &out->added) : OK;
}

static enum status fill_conditioning(const struct control *control, struct arena *turn,
                                     const struct conditioning *of,
                                     const struct conditioning *out) {
  struct pass pass = lone_pass(&control->lone, turn);
  TRY(unet_half_condition(&pass, &control->half, out));
  if (out->added.data == NULL) {
    return OK;
  }
  assert(of->told.data != NULL); /* control_facts_fit has seen to it */
  return unet_half_added(&pass, &control->half, NULL, &of->told, &out->added);
}

enum status control_condition(struct control *control, struct arena *keep, struct arena *turn,
                              const struct conditioning *of, struct conditioning *out) {
  struct arena_mark kept = arena_mark(keep), mark = arena_mark(turn);
  struct conditioning made;
  enum status status = take_conditioning(control, keep, of, &made);
  if (status == OK) {
    status = fill_conditioning(control, turn, of, &made);
    arena_release(turn, mark);
  }
  if (status != OK) {
    arena_release(keep, kept);
    return status;
  }
  *out = made;
  return OK;
}

/* An arena rounds every piece up to its alignment. */
static size_t bytes_taken(size_t bytes) { return (bytes + 63) / 64 * 64; }

size_t control_condition_bytes(const struct control *control, int tokens) {
  size_t value = element_bytes(device_element(control->lone.device));
  return bytes_taken((size_t)(tokens * control->half.context_columns) * value) +
         bytes_taken((size_t)unet_half_added_width(&control->half) * value);
}

/* What is added is all that needs scratch. */
static enum status condition_dry(const struct pass *pass, const void *context,
                                 const struct tensor *added) {
  const struct control *control = context;
  return added->shape[1] > 0 ? unet_half_added(pass, &control->half, NULL, NULL, added) : OK;
}

size_t control_condition_scratch_bytes(const struct control *control) {
  struct tensor added = {.rank = 2, .shape = {1, unet_half_added_width(&control->half), 1, 1}};
  return lone_dry_bytes(&control->lone, condition_dry, control, &added);
}
