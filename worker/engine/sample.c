/* sample.c - an image begins, draws, goes on and ends. */
#include "worker/engine/sample.h"

#include <string.h>

#define ALIGNMENT 64 /* the arena's */

static int channels(const struct stage *stage) {
  return stage->resident->family->vae.latent_channels;
}

static size_t piece_bytes(const struct stage *stage) {
  return (size_t)stage_cells(stage) * (size_t)channels(stage) * sizeof(float);
}

static bool draws(const struct plan *plan) {
  for (int i = 0; i < plan->rows; i++) {
    if (plan->row[i].needs_noise) {
      return true;
    }
  }
  return false;
}

static size_t bytes_of_stage(const struct stage *stage) {
  size_t pieces = (size_t)stage->plan.slots + (draws(&stage->plan) ? 1 : 0);
  return piece_bytes(stage) * pieces + 2 * ALIGNMENT;
}

/* Stages have its memory one after another. */
size_t sample_bytes(const struct recipe *recipe) {
  size_t most = 0;
  for (int i = 0; i < recipe->stages; i++) {
    size_t bytes = bytes_of_stage(&recipe->stage[i]);
    most = bytes > most ? bytes : most;
  }
  return most;
}

struct stage *sample_stage(const struct sample *sample) {
  return &sample->task->recipe->stage[sample->stage];
}

static void draw(struct sample *sample, const struct drawing_room *room) {
  const struct stage *stage = sample_stage(sample);
  random_normal_image(&sample->random, channels(stage), stage->latent_height, stage->latent_width,
                      room->scratch, room->values);
}

static enum status put_piece(struct sample *sample, struct device *device, const float *values,
                             const struct tensor *to) {
  return device_put(device, values, piece_bytes(sample_stage(sample)), to);
}

static struct tensor slot(const struct sample *sample, int index) {
  struct tensor rows = tensor_rows(&sample->slots, index, 1);
  return tensor_view(&rows, 3, &sample->slots.shape[1]);
}

static enum status take_memory(struct sample *sample, struct device *device) {
  const struct stage *stage = sample_stage(sample);
  int64_t shape[] = {stage->plan.slots, stage->latent_height, stage->latent_width, channels(stage)};
  TRY(device_arena(device, sample_bytes(sample->task->recipe), &sample->memory));
  TRY(tensor_take(sample->memory, ELEMENT_F32, 4, shape, &sample->slots));
  if (draws(&stage->plan)) {
    TRY(tensor_take(sample->memory, ELEMENT_F32, 3, &shape[1], &sample->noise));
  }
  sample->latents = slot(sample, 0);
  return OK;
}

/* Slot 0 is the initial noise, the others are 0. */
static enum status start(struct sample *sample, struct device *device,
                         const struct drawing_room *room) {
  const struct stage *stage = sample_stage(sample);
  random_seed(&sample->random, sample->task->seed + sample->index);
  draw(sample, room);
  for (int64_t i = 0; i < stage_cells(stage) * channels(stage); i++) {
    room->values[i] *= stage->plan.start_scale;
  }
  TRY(put_piece(sample, device, room->values, &sample->latents));
  memset(room->values, 0, piece_bytes(stage));
  for (int i = 1; i < stage->plan.slots; i++) {
    struct tensor other = slot(sample, i);
    TRY(put_piece(sample, device, room->values, &other));
  }
  return event_record(sample->arrival);
}

/* On a queue of its own: the copies need not wait for the turns in flight, nor these for them. */
static enum status send_off(struct sample *sample, struct device *device,
                            const struct drawing_room *room) {
  TRY(event_open(device, &sample->arrival));
  device_use(device, QUEUE_COPIES);
  enum status status = start(sample, device, room);
  device_use(device, QUEUE_STEPS);
  return status == OK ? OK : (device_wait(device) == BROKEN ? BROKEN : status);
}

enum status sample_open(struct sample *sample, struct device *device, struct task *task,
                        uint32_t index, const struct drawing_room *room) {
  *sample = (struct sample){.task = task, .index = index};
  bucket_fill(sample_stage(sample), 0, &sample->bucket);
  enum status status = take_memory(sample, device);
  status = status == OK ? send_off(sample, device, room) : status;
  if (status != OK) {
    sample_close(sample);
  }
  return status;
}

struct arena *sample_abandon(struct sample *sample) {
  struct arena *memory = sample->memory;
  event_close(&sample->arrival);
  sample->memory = NULL;
  sample->task = NULL;
  return memory;
}

void sample_close(struct sample *sample) {
  if (sample->arrival != NULL) { /* no turn has followed it, so the copies may be under way: a few
                                    microseconds. Should the device have failed, the next turn says
                                    so. */
    (void)event_wait(sample->arrival);
  }
  struct arena *memory = sample_abandon(sample);
  arena_close(&memory);
}

bool sample_ended(const struct sample *sample) {
  return sample->cursor == sample_stage(sample)->plan.rows;
}

const struct plan_row *sample_row(const struct sample *sample) {
  return &sample_stage(sample)->plan.row[sample->cursor];
}

static enum status follow_arrival(struct sample *sample) {
  if (sample->arrival != NULL) {
    TRY(event_follow(sample->arrival));
    event_close(&sample->arrival);
  }
  return OK;
}

/* Its buffer is the sample's own: the copy is queued behind the turn that reads the noise before
 * it. */
enum status sample_prepare(struct sample *sample, struct device *device,
                           const struct drawing_room *room) {
  TRY(follow_arrival(sample));
  if (!sample_row(sample)->needs_noise || sample->drawn) {
    return OK;
  }
  draw(sample, room);
  TRY(put_piece(sample, device, room->values, &sample->noise));
  sample->drawn = true;
  return OK;
}

bool sample_advanced(struct sample *sample) {
  int step = sample_row(sample)->step;
  sample->cursor++;
  sample->drawn = false;
  bucket_fill(sample_stage(sample), sample->cursor, &sample->bucket);
  return sample_ended(sample) || sample_row(sample)->step != step;
}
