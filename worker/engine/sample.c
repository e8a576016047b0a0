/* sample.c - the memory of an image, and how far it is. */
#include "worker/engine/sample.h"

#include <string.h>

#define ALIGNMENT 64 /* the arena's */

/* ---- its memory ---- */

int latent_channels(const struct stage *stage) {
  return stage->resident->family->vae.latent_channels;
}

size_t latent_bytes(const struct stage *stage) {
  return (size_t)stage_cells(stage) * (size_t)latent_channels(stage) * sizeof(float);
}

/* What a stage wants; stages have it one after another, in the memory of the largest. */
static size_t bytes_of_stage(const struct recipe *recipe, const struct stage *stage) {
  size_t pieces = (size_t)recipe->slots + (recipe->draws ? 1 : 0) +
                  (stage->keeps ? 2 : 0); /* clean and begun */
  size_t cells = (size_t)stage_cells(stage) * sizeof(float);
  size_t planes = cells * ((stage->keeps ? 1 : 0) + (size_t)stage->planes);
  return latent_bytes(stage) * pieces + planes + 6 * ALIGNMENT;
}

static size_t bytes_on_device(const struct recipe *recipe) {
  size_t most = 0;
  for (int i = 0; i < recipe->stages; i++) {
    size_t bytes = bytes_of_stage(recipe, &recipe->stage[i]);
    most = bytes > most ? bytes : most;
  }
  return most;
}

/* Of a picture that begins a later stage, and as much again while it is made larger. */
static size_t bytes_on_host(const struct recipe *recipe) {
  const struct stage *last = &recipe->stage[recipe->stages - 1];
  return last->begin == BEGIN_PIXELS ? (size_t)last->width * (size_t)last->height * 3 * 2 : 0;
}

/* The job's own pictures, as if each image had its own. */
static size_t bytes_of_inputs(const struct recipe *recipe) {
  const struct stage *first = &recipe->stage[0];
  size_t pixels = (size_t)first->width * (size_t)first->height;
  return (recipe->image != NULL ? 3 * pixels : 0) + (recipe->mask != NULL ? pixels : 0);
}

size_t sample_bytes(const struct recipe *recipe) {
  return bytes_on_device(recipe) + bytes_on_host(recipe) + bytes_of_inputs(recipe);
}

static struct tensor slot_of(const struct sample *sample, int index) {
  struct tensor rows = tensor_rows(&sample->slots, index, 1);
  return tensor_view(&rows, 3, &sample->slots.shape[1]);
}

enum status sample_clear(struct sample *sample, struct device *device,
                         const struct drawing_room *room) {
  memset(room->values, 0, tensor_bytes(&sample->latents));
  for (int64_t i = 1; i < sample->slots.shape[0]; i++) {
    struct tensor slot = slot_of(sample, (int)i);
    TRY(device_put(device, room->values, tensor_bytes(&slot), &slot));
  }
  return OK;
}

/* Divides its memory for the stage. */
static enum status divide(struct sample *sample) {
  const struct recipe *recipe = sample->task->recipe;
  const struct stage *stage = recipe_ground(recipe, sample->stage);
  int64_t shape[] = {recipe->slots, stage->latent_height, stage->latent_width,
                     latent_channels(stage)};
  int64_t planes[] = {shape[1], shape[2], stage->planes};
  TRY(tensor_take(sample->memory, ELEMENT_F32, 4, shape, &sample->slots));
  if (recipe->draws) {
    TRY(tensor_take(sample->memory, ELEMENT_F32, 3, &shape[1], &sample->noise));
  }
  if (stage->keeps) {
    TRY(tensor_take(sample->memory, ELEMENT_F32, 3, &shape[1], &sample->clean));
    TRY(tensor_take(sample->memory, ELEMENT_F32, 3, &shape[1], &sample->begun));
    TRY(tensor_take(sample->memory, ELEMENT_F32, 2, &shape[1], &sample->mask));
  }
  if (stage->planes > 0) {
    TRY(tensor_take(sample->memory, ELEMENT_F32, 3, planes, &sample->planes));
  }
  sample->latents = slot_of(sample, 0);
  return OK;
}

enum status sample_enter(struct sample *sample, int stage) {
  arena_drop(sample->memory);
  sample->stage = stage;
  sample->cursor = 0;
  sample->drawn = false;
  sample->noise = sample->clean = sample->begun = sample->mask = sample->planes =
      (struct tensor){0};
  return divide(sample);
}

/* ---- beginning and end ---- */

static enum status take_memory(struct sample *sample, struct device *device) {
  const struct recipe *recipe = sample->task->recipe;
  TRY(device_arena(device, bytes_on_device(recipe), &sample->memory));
  TRY(divide(sample));
  if (bytes_on_host(recipe) > 0) {
    TRY(arena_open(NULL, bytes_on_host(recipe), &sample->on_host));
    sample->picture = arena_take(sample->on_host, bytes_on_host(recipe) / 2);
    TRY(sample->picture != NULL ? OK : EXHAUSTED);
  }
  return OK;
}

enum status sample_take(struct sample *sample, struct device *device, struct task *task,
                        uint32_t index) {
  *sample = (struct sample){.task = task, .index = index};
  random_seed(&sample->random, task->seed + index);
  enum status status = take_memory(sample, device);
  if (status != OK) {
    sample_close(sample);
  }
  return status;
}

struct arena *sample_abandon(struct sample *sample) {
  struct arena *memory = sample->memory;
  event_close(&sample->arrival);
  arena_close(&sample->on_host); /* no turn reads it */
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

/* ---- how far it is ---- */

struct stage *sample_stage(const struct sample *sample) {
  return &sample->task->recipe->stage[sample->stage];
}

const struct plan_row *sample_row(const struct sample *sample) {
  return &sample_stage(sample)->plan.row[sample->cursor];
}

bool sample_ended(const struct sample *sample) {
  return sample->stage + 1 == sample->task->recipe->stages &&
         sample->cursor == sample_stage(sample)->plan.rows;
}

enum sample_need sample_needs(const struct sample *sample) {
  if (sample->encode != ENCODE_NONE) {
    return NEED_ENCODE;
  }
  if (sample->cursor < sample_stage(sample)->plan.rows) {
    return NEED_STEP;
  }
  bool last = sample->stage + 1 == sample->task->recipe->stages;
  return !last && sample_stage(sample)[1].begin == BEGIN_LATENTS ? NEED_FETCH : NEED_DECODE;
}

int64_t sample_turns(const struct sample *sample) {
  enum sample_need need = sample_needs(sample);
  return need == NEED_ENCODE   ? sample_stage(sample)->encode_turns
         : need == NEED_DECODE ? sample_stage(sample)->decode_turns
                               : 0;
}

bool sample_in_tiles(const struct sample *sample) { return sample_turns(sample) > 0; }

/* A model that goes on with the latents as they are does so at once. */
static void go_on(struct sample *sample) {
  const struct recipe *recipe = sample->task->recipe;
  while (sample->cursor == sample_stage(sample)->plan.rows && sample->stage + 1 < recipe->stages &&
         sample_stage(sample)[1].begin == BEGIN_KEEP) {
    sample->stage++;
    sample->cursor = 0;
    sample->stale = true;
  }
}

void sample_moved(struct sample *sample) {
  go_on(sample);
  bucket_fill(sample_stage(sample), sample->cursor, &sample->bucket);
}

const uint8_t *sample_picture(const struct sample *sample) {
  return sample->stage == 0 ? sample->task->recipe->image : sample->picture;
}

/* A stage of another size than the job's sees the pixel in the same place. */
uint8_t sample_mask_at(const struct sample *sample, int y, int x) {
  const struct recipe *recipe = sample->task->recipe;
  const struct stage *stage = sample_stage(sample), *first = &recipe->stage[0];
  int64_t row = (int64_t)y * first->height / stage->height;
  int64_t column = (int64_t)x * first->width / stage->width;
  return recipe->mask[row * first->width + column];
}

void sample_draw(struct sample *sample, const struct drawing_room *room) {
  const struct stage *stage = sample_stage(sample);
  random_normal_image(&sample->random, latent_channels(stage), stage->latent_height,
                      stage->latent_width, room->scratch, room->values);
}

static enum status follow_arrival(struct sample *sample) {
  if (sample->arrival != NULL) {
    TRY(event_follow(sample->arrival));
    event_close(&sample->arrival);
  }
  return OK;
}

/* All slots but the first, behind the turns that wrote them. */
static enum status clear_stale(struct sample *sample, struct device *device,
                               const struct drawing_room *room) {
  if (!sample->stale) {
    return OK;
  }
  TRY(sample_clear(sample, device, room));
  sample->stale = false;
  return OK;
}

/* Its buffer is the sample's own: the copy is queued behind the turn that reads the noise before
 * it. */
enum status sample_prepare(struct sample *sample, struct device *device,
                           const struct drawing_room *room) {
  TRY(follow_arrival(sample));
  TRY(clear_stale(sample, device, room));
  if (sample_needs(sample) != NEED_STEP || !sample_row(sample)->needs_noise || sample->drawn) {
    return OK;
  }
  sample_draw(sample, room);
  TRY(device_put(device, room->values, tensor_bytes(&sample->noise), &sample->noise));
  sample->drawn = true;
  return OK;
}

bool sample_advanced(struct sample *sample) {
  const struct stage *stage = sample_stage(sample);
  int row = sample->cursor++;
  bool step_ended = sample->cursor == stage->plan.rows ||
                    stage->plan.row[sample->cursor].step != stage->plan.row[row].step;
  sample->drawn = false;
  sample->steps += step_ended;
  sample_moved(sample);
  return step_ended;
}
