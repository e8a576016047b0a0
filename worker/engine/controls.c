/* controls.c - windows, scales, hints. */
#include "worker/engine/controls.h"

#include <string.h>

#define ALIGNMENT 64 /* the arena's */

/* ---- what a job says ---- */

static const struct net *find_net(const struct residence *residence, const char *id) {
  for (size_t i = 0; id != NULL && i < residence->net_count; i++) {
    if (strcmp(residence->nets[i].id, id) == 0) {
      return &residence->nets[i];
    }
  }
  return NULL;
}

/* diffusers' window: off in row i of n where i/n < start or (i + 1)/n > end. */
static void fill_window(const Darkroom__V1__Control *said, int rows, struct stage_control *out) {
  out->first = rows;
  out->last = 0;
  for (int i = 0; i < rows; i++) {
    bool on = !((double)i / rows < said->start || (double)(i + 1) / rows > said->end);
    out->first = on && i < out->first ? i : out->first;
    out->last = on ? i + 1 : out->last;
  }
}

static enum status fill_one(const struct net *net, const struct resident *resident,
                            const Darkroom__V1__Control *said, struct refusal *why,
                            struct stage_control *out) {
  if (net == NULL) {
    return refuse(why, DARKROOM__V1__ERROR_CODE__ERROR_FIELD, "control", NULL,
                  "there is no control net %.64s on this device",
                  said->model != NULL ? said->model : "\"\"");
  }
  if (control_fits(net->control, resident->family) != OK) {
    return refuse(why, DARKROOM__V1__ERROR_CODE__ERROR_FIELD, "control", NULL,
                  "control net %.48s is none for model %.48s", net->id, resident->id);
  }
  out->net = net;
  out->guess = said->guess;
  control_scales(net->control, said->scale, said->guess, out->scale);
  return OK;
}

/* In the order of the nets, of equal ones in the job's. */
static void insert(struct stage_controls *controls, const struct stage_control *row) {
  int at = controls->count++;
  for (; at > 0 && controls->row[at - 1].net > row->net; at--) {
    controls->row[at] = controls->row[at - 1];
  }
  controls->row[at] = *row;
}

enum status controls_fill(const struct residence *residence, const struct resident *resident,
                          const Darkroom__V1__Job *job, int rows, struct refusal *why,
                          struct stage_controls *out) {
  struct stage_controls controls = {0};
  for (size_t i = 0; i < job->n_control; i++) {
    const Darkroom__V1__Control *said = job->control[i];
    struct stage_control row = {.index = (uint32_t)i};
    TRY(fill_one(find_net(residence, said->model), resident, said, why, &row));
    fill_window(said, rows, &row);
    insert(&controls, &row);
  }
  *out = controls;
  return OK;
}

bool control_is_on(const struct stage_control *control, int row) {
  return row >= control->first && row < control->last;
}

/* ---- bytes ---- */

static size_t larger(size_t a, size_t b) { return a > b ? a : b; }

size_t controls_bytes(const struct stage_controls *controls, struct device *device, int height,
                      int width) {
  size_t bytes = 0;
  for (int i = 0; i < controls->count; i++) {
    size_t channels = (size_t)control_hint_channels(controls->row[i].net->control);
    bytes += (size_t)height * (size_t)width * channels * element_bytes(device_element(device)) +
             ALIGNMENT;
  }
  return bytes;
}

size_t controls_run_bytes(const struct stage_controls *controls, int rows, int height, int width) {
  size_t bytes = 0;
  for (int i = 0; i < controls->count; i++) {
    bytes = larger(bytes, control_run_bytes(controls->row[i].net->control, rows, height, width));
  }
  return bytes;
}

size_t controls_once_bytes(const struct stage_controls *controls, int height, int width) {
  size_t bytes = 0;
  for (int i = 0; i < controls->count; i++) {
    const struct control *net = controls->row[i].net->control;
    size_t factor = (size_t)control_hint_factor(net);
    size_t pixels = (size_t)height * factor * (size_t)width * factor;
    size_t picture = pixels * 3 * sizeof(float) + ALIGNMENT;
    bytes = larger(bytes, control_condition_scratch_bytes(net));
    bytes = larger(bytes, budget_sum(control_hint_bytes(net, height, width), picture));
  }
  return bytes;
}

/* ---- hints ---- */

/* 0 to 1, a row of pixels at a time. */
static enum status put_picture(struct device *device, const struct control_picture *picture,
                               const struct tensor *to) {
  float values[JOB_SIDE_PIXELS_MAX * 3];
  const uint8_t *rgb = picture->rgb;
  for (int y = 0; y < picture->height; y++) {
    for (int x = 0; x < 3 * picture->width; x++) {
      values[x] = (float)*rgb++ / 255.0f;
    }
    struct tensor row = tensor_rows(to, y, 1);
    TRY(device_put(device, values, tensor_bytes(&row), &row));
  }
  return OK;
}

enum status control_make_hint(struct stage_control *control, struct device *device,
                              struct arena *keep, struct arena *scratch,
                              const struct control_picture *picture) {
  struct control *net = control->net->control;
  int factor = control_hint_factor(net); /* the model's own, see control_fits */
  struct arena_mark mark = arena_mark(scratch);
  struct tensor image, hint;
  TRY(tensor_take(
      keep, device_element(device),
      TENSOR_SHAPE(picture->height / factor, picture->width / factor, control_hint_channels(net)),
      &hint));
  TRY(tensor_take(scratch, ELEMENT_F32, TENSOR_SHAPE(picture->height, picture->width, 3), &image));
  enum status status = put_picture(device, picture, &image);
  status = status == OK ? control_hint(net, scratch, &image, &hint) : status;
  arena_release(scratch, mark);
  TRY(status);
  control->hint = hint;
  return OK;
}
