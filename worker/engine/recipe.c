/* recipe.c - a job's stages, one after another. */
#include "worker/engine/recipe.h"

#include <assert.h>
#include <string.h>

#include "images/resize.h"
#include "kernels/queue.h"
#include "worker/engine/inputs.h"
#include "worker/engine/tinies.h"
#include "worker/model/model.h"

#define PLANS_BYTES_MAX (STAGES_MAX * (JOB_STEPS_MAX * 2 * sizeof(struct plan_row) + 4096))
#define PICTURES_BYTES_MAX (JOB_SIDE_PIXELS_MAX * JOB_SIDE_PIXELS_MAX * 4) /* RGB and a mask */
#define RECIPE_BYTES_MAX (PLANS_BYTES_MAX + PICTURES_BYTES_MAX + sizeof(struct recipe) + 1024)

/* What a model that is told an aesthetic score is told where the job says nothing, as diffusers'
 * pipelines do. */
#define SCORE 6.0
#define NEGATIVE_SCORE 2.5

static bool draws(const struct plan *plan) {
  for (int i = 0; i < plan->rows; i++) {
    if (plan->row[i].needs_noise) {
      return true;
    }
  }
  return false;
}

static void sum_up(struct recipe *recipe) {
  for (int i = 0; i < recipe->stages; i++) {
    const struct plan *plan = &recipe->stage[i].plan;
    recipe->slots = plan->slots > recipe->slots ? plan->slots : recipe->slots;
    recipe->draws = recipe->draws || draws(plan);
  }
}

/* ---- the stages ---- */

/* What a job is made of, while its recipe is. */
struct order {
  const struct residence *residence;
  const Darkroom__V1__Job *job;
  const struct engine_inputs *inputs;
  struct refusal *why;
};

static enum status find_model(const struct order *order, const char *field, const char *id,
                              const struct resident **out) {
  const struct resident *resident = residence_find(order->residence, id != NULL ? id : "");
  if (resident == NULL) {
    return refuse(order->why, DARKROOM__V1__ERROR_CODE__ERROR_UNKNOWN_MODEL, field, NULL,
                  "model %.64s is not on this device", id != NULL ? id : "\"\"");
  }
  *out = resident;
  return OK;
}

static bool is_masked(const struct order *order) {
  return inputs_find(order->inputs, INPUT_MASK, 0) != NULL;
}

/* A whole run of the job's model, from noise. */
static struct stage_request request_of(const struct order *order, const struct resident *resident) {
  const Darkroom__V1__Job *job = order->job;
  uint32_t side = (uint32_t)resident_side(resident);
  return (struct stage_request){.job = job,
                                .resident = resident,
                                .begin = BEGIN_NOISE,
                                .width = job->has_width ? job->width : side,
                                .height = job->has_height ? job->height : side,
                                .steps = job->steps,
                                .strength = 1,
                                .masked = is_masked(order),
                                .to = 1,
                                .score = SCORE,
                                .negative_score = NEGATIVE_SCORE};
}

/* With a mask, strength 1 is pure noise, as in diffusers' inpainting pipelines; without one it is
 * noise on the image, as in their image-to-image pipelines. */
static enum stage_begin begin_of(const struct order *order) {
  if (order->job->image == NULL) {
    return BEGIN_NOISE;
  }
  return is_masked(order) && order->job->strength >= 1 ? BEGIN_NOISE : BEGIN_IMAGE;
}

static enum status add(const struct order *order, const struct stage_request *request,
                       struct recipe *out) {
  assert(out->stages < STAGES_MAX);
  TRY(stage_fill(request, out->memory, order->why, &out->stage[out->stages]));
  out->stages++;
  return OK;
}

static enum status add_first(const struct order *order, struct recipe *out) {
  const struct resident *resident = NULL;
  TRY(find_model(order, "model", order->job->model, &resident));
  struct stage_request request = request_of(order, resident);
  request.begin = begin_of(order);
  request.strength = request.begin == BEGIN_IMAGE ? order->job->strength : 1;
  request.to = order->job->refiner != NULL ? order->job->refiner->start : 1;
  return add(order, &request, out);
}

/* Another model goes on with the same latents: it must mean the same by them. Both must be told of
 * a mask in the same way, by channels or not at all: a sample has what its first stage needs. */
static enum status check_refiner(const struct order *order, const struct resident *first,
                                 const struct resident *refiner) {
  const struct family *a = first->family, *b = refiner->family;
  bool fits = a->scale_factor == b->scale_factor && a->unet.in_channels == b->unet.in_channels &&
              a->vae.latent_channels == b->vae.latent_channels &&
              a->vae.scaling_factor == b->vae.scaling_factor;
  return fits ? OK
              : refuse(order->why, DARKROOM__V1__ERROR_CODE__ERROR_FIELD, "refiner", NULL,
                       "%s does not go on with the latents of %s", refiner->id, first->id);
}

static enum status add_refiner(const struct order *order, struct recipe *out) {
  const Darkroom__V1__Refiner *refiner = order->job->refiner;
  const struct stage *first = &out->stage[0];
  const struct resident *resident = first->resident;
  TRY(find_model(order, "refiner", refiner->model, &resident));
  TRY(check_refiner(order, first->resident, resident));
  struct stage_request request = request_of(order, resident);
  request.begin = BEGIN_KEEP;
  request.width = (uint32_t)first->width;
  request.height = (uint32_t)first->height;
  request.from = refiner->start;
  request.score = refiner->score;
  request.negative_score = refiner->negative_score;
  return add(order, &request, out);
}

static enum status add_upscale(const struct order *order, struct recipe *out) {
  const Darkroom__V1__Upscale *upscale = order->job->upscale;
  struct stage_request request = request_of(order, out->stage[0].resident);
  bool latent = upscale->kind == DARKROOM__V1__UPSCALE_KIND__UPSCALE_LATENT;
  request.begin = latent ? BEGIN_LATENTS : BEGIN_PIXELS;
  request.width = upscale->width;
  request.height = upscale->height;
  request.strength = upscale->strength;
  request.steps = upscale->has_steps ? upscale->steps : order->job->steps;
  return add(order, &request, out);
}

static enum status add_stages(const struct order *order, struct recipe *out) {
  TRY(add_first(order, out));
  if (order->job->refiner != NULL) {
    TRY(add_refiner(order, out));
  }
  return order->job->upscale != NULL ? add_upscale(order, out) : OK;
}

/* ---- the pictures ---- */

/* A copy of one of the job's pictures, at the size of its first stage. */
static enum status keep_picture(const struct order *order, enum input_kind kind,
                                struct recipe *recipe, const uint8_t **out) {
  const struct engine_input *input = inputs_find(order->inputs, kind, 0);
  const struct stage *first = &recipe->stage[0];
  if (input == NULL) {
    return OK;
  }
  TRY(inputs_check_picture(input, (uint32_t)first->width, (uint32_t)first->height, order->why));
  uint8_t *copy = arena_take(recipe->memory, input->bytes);
  if (copy == NULL) {
    return EXHAUSTED;
  }
  memcpy(copy, input->data, input->bytes);
  *out = copy;
  return OK;
}

/* Control nets go over the stages of the job's model. */
static enum status add_controls(const struct order *order, struct recipe *recipe) {
  const struct stage *first = &recipe->stage[0];
  for (size_t i = 0; i < order->job->n_control; i++) {
    const struct engine_input *input = inputs_find(order->inputs, INPUT_CONTROL, (uint32_t)i);
    if (input == NULL) {
      return refuse(order->why, DARKROOM__V1__ERROR_CODE__ERROR_FIELD, "control", NULL,
                    "the picture of control %zu did not come with the job", i);
    }
    TRY(inputs_check_picture(input, (uint32_t)first->width, (uint32_t)first->height, order->why));
  }
  for (int i = 0; i < recipe->stages; i++) {
    struct stage *stage = &recipe->stage[i];
    if (stage->resident == first->resident) {
      TRY(controls_fill(order->residence, stage->resident, order->job, stage->plan.rows, order->why,
                        &stage->controls));
    }
  }
  return OK;
}

/* A pixel a cell, and a cell may be a pixel. */
static void limit_previews(struct recipe *recipe) {
  for (int i = 0; i < recipe->stages && recipe->preview_every > 0; i++) {
    const struct stage *stage = &recipe->stage[i];
    if (stage->latent_width > PREVIEW_SIDE_PIXELS_MAX ||
        stage->latent_height > PREVIEW_SIDE_PIXELS_MAX) {
      recipe->preview_every = 0;
      note(&recipe->notes, "preview_every: no previews, latents of %dx%d are larger than %dx%d",
           stage->latent_width, stage->latent_height, PREVIEW_SIDE_PIXELS_MAX,
           PREVIEW_SIDE_PIXELS_MAX);
    }
  }
}

/* By the tiny decoder of whichever model is at it, or straight from the latents. */
static enum status fill_previews(const struct order *order, struct recipe *recipe) {
  recipe->preview_every = order->job->preview_every;
  if (order->job->preview_kind != DARKROOM__V1__PREVIEW_KIND__PREVIEW_TINY) {
    limit_previews(recipe);
    return OK;
  }
  for (int i = 0; i < recipe->stages && recipe->preview_every > 0; i++) {
    struct stage *stage = &recipe->stage[i];
    TRY(tinies_find(order->residence, stage->resident, "preview_kind", order->why,
                    &stage->previewer));
  }
  return OK;
}

/* A picture that only goes on at another size is none of the job's: the model's own decoder makes
 * it. */
static enum status fill_decoder(const struct order *order, struct recipe *recipe) {
  struct stage *last = &recipe->stage[recipe->stages - 1];
  return order->job->tiny_decoder ? tinies_find(order->residence, last->resident, "tiny_decoder",
                                                order->why, &last->tiny)
                                  : OK;
}

/* Whether pictures become latents on its way. */
static bool encodes(const struct recipe *recipe) {
  bool pixels = false;
  for (int i = 0; i < recipe->stages; i++) {
    pixels = pixels || recipe->stage[i].begin == BEGIN_PIXELS;
  }
  return pixels || recipe->image != NULL;
}

static enum status check_encoder(const struct order *order, const struct recipe *recipe) {
  const struct resident *resident = recipe->stage[0].resident;
  if (!encodes(recipe) || model_encodes(resident->model)) {
    return OK;
  }
  return refuse(order->why, DARKROOM__V1__ERROR_CODE__ERROR_FIELD,
                recipe->image != NULL ? "image" : "upscale", NULL,
                "model %s has no encoder: it takes no pictures", resident->id);
}

static enum status fill(const struct order *order, struct recipe *out) {
  TRY(add_stages(order, out));
  TRY(keep_picture(order, INPUT_IMAGE, out, &out->image));
  TRY(keep_picture(order, INPUT_MASK, out, &out->mask));
  TRY(check_encoder(order, out));
  TRY(add_controls(order, out));
  TRY(fill_previews(order, out));
  TRY(fill_decoder(order, out));
  sum_up(out);
  return OK;
}

enum status recipe_open(const struct residence *residence, const Darkroom__V1__Job *job,
                        const struct engine_inputs *inputs, struct refusal *why,
                        struct recipe **out) {
  const struct order order = {residence, job, inputs, why};
  struct arena *memory = NULL;
  TRY(inputs_check(job, inputs, why));
  TRY(arena_open(NULL, RECIPE_BYTES_MAX, &memory));
  struct recipe *recipe = arena_take_zeroed(memory, sizeof *recipe);
  if (recipe == NULL) {
    arena_close(&memory);
    return EXHAUSTED;
  }
  *recipe = (struct recipe){.memory = memory, .holders = 1};
  enum status status = fill(&order, recipe);
  if (status != OK) {
    recipe_release(&recipe);
    return status;
  }
  *out = recipe;
  return OK;
}

/* ---- on the device ---- */

/* Adapters and words are the first model's; another one that goes on draws as it is. */
static enum status adapt(struct recipe *recipe, const struct makers *makers,
                         const Darkroom__V1__Job *job, const struct engine_inputs *inputs) {
  const struct resident *resident = recipe->stage[0].resident;
  if (recipe->adapted == NULL && job->n_adapter > 0) {
    const struct adapters_order order = {resident, job, makers->fence, inputs, &recipe->notes};
    TRY(adapters_hold(makers->adapters, &order, &recipe->adapted));
  }
  if (recipe->worded == NULL && job->n_embedding > 0) {
    TRY(words_hold(makers->words, resident, job, inputs, &recipe->worded));
  }
  for (int i = 0; i < recipe->stages; i++) {
    if (recipe->stage[i].resident == resident) {
      stage_adapt(&recipe->stage[i], recipe->adapted, recipe->worded);
    }
  }
  return OK;
}

static size_t bytes_of_hints(const struct recipe *recipe, struct device *device) {
  size_t bytes = 0;
  for (int i = 0; i < recipe->stages; i++) {
    const struct stage *stage = &recipe->stage[i];
    bytes += controls_bytes(&stage->controls, device, stage->latent_height, stage->latent_width);
  }
  return bytes;
}

static enum status take_hints(struct recipe *recipe, const struct makers *makers) {
  size_t bytes = bytes_of_hints(recipe, makers->device);
  TRY(conditionings_make_room(makers->conditionings, bytes));
  recipe->budget = makers->budget;
  recipe->bytes = bytes;
  TRY(event_open(makers->device, &recipe->hinted));
  return device_arena(makers->device, bytes, &recipe->on_device);
}

/* Those of a job that goes at once may still be written to; should the device have failed, the next
 * turn says so. */
static void drop_hints(struct recipe *recipe) {
  if (recipe->hinted != NULL) {
    (void)event_wait(recipe->hinted);
  }
  event_close(&recipe->hinted);
  arena_close(&recipe->on_device);
  if (recipe->budget != NULL) {
    budget_give(recipe->budget, recipe->bytes);
  }
  recipe->budget = NULL;
  recipe->bytes = 0;
}

/* A net's picture, made larger where the stage is. */
static enum status make_hint(struct recipe *recipe, const struct makers *makers,
                             const struct stage *stage, struct stage_control *control,
                             const struct engine_input *input) {
  const struct image given = {input->width, input->height, 3, (uint8_t *)input->data}; /* read */
  struct image picture = {0};
  TRY(image_resize(&given, (uint32_t)stage->width, (uint32_t)stage->height, FILTER_LANCZOS,
                   &picture));
  enum status status =
      control_make_hint(control, makers->device, recipe->on_device, makers->scratch,
                        &(struct control_picture){stage->width, stage->height, picture.pixels});
  image_close(&picture);
  return status;
}

static enum status fill_hints(struct recipe *recipe, const struct makers *makers,
                              const struct engine_inputs *inputs) {
  TRY(take_hints(recipe, makers));
  for (int i = 0; i < recipe->stages; i++) {
    struct stage *stage = &recipe->stage[i];
    for (int k = 0; k < stage->controls.count; k++) {
      struct stage_control *control = &stage->controls.row[k];
      TRY(make_hint(recipe, makers, stage, control,
                    inputs_find(inputs, INPUT_CONTROL, control->index)));
    }
  }
  return event_record(recipe->hinted);
}

/* All of them or none: what was made before a failure is not the whole for the next try. */
static enum status make_hints(struct recipe *recipe, const struct makers *makers,
                              const struct engine_inputs *inputs) {
  if (recipe->on_device != NULL || bytes_of_hints(recipe, makers->device) == 0) {
    return OK;
  }
  enum status status = fill_hints(recipe, makers, inputs);
  if (status != OK) {
    status = device_wait(makers->device) == BROKEN ? BROKEN : status;
    drop_hints(recipe);
  }
  return status;
}

static void note_cut(struct recipe *recipe, const char *field, const struct conditioned *made) {
  if (made != NULL && made->report.cut > 0) {
    note(&recipe->notes, "%s: the last %d of its %d tokens are left out", field, made->report.cut,
         made->report.tokens);
  }
}

enum status recipe_prepare(struct recipe *recipe, const struct makers *makers,
                           const Darkroom__V1__Job *job, const struct engine_inputs *inputs) {
  TRY(adapt(recipe, makers, job, inputs));
  TRY(make_hints(recipe, makers, inputs));
  for (int i = 0; i < recipe->stages; i++) {
    struct stage *stage = &recipe->stage[i];
    TRY(stage_condition(stage, makers->conditionings, makers->scratch));
    note_cut(recipe, "prompt", stage->cond);
    note_cut(recipe, "negative_prompt", stage->uncond);
  }
  return OK;
}

struct recipe *recipe_share(struct recipe *recipe) {
  recipe->holders++;
  return recipe;
}

void recipe_release(struct recipe **pointer) {
  struct recipe *recipe = *pointer;
  *pointer = NULL;
  if (recipe == NULL) {
    return;
  }
  assert(recipe->holders > 0);
  if (--recipe->holders > 0) {
    return;
  }
  for (int i = 0; i < recipe->stages; i++) {
    stage_close(&recipe->stage[i]);
  }
  drop_hints(recipe);
  adapters_release(&recipe->adapted);
  words_release(&recipe->worded);
  struct arena *memory = recipe->memory;
  arena_close(&memory);
}

void recipe_lower(struct recipe *recipe, const struct stage *shape, int rows) {
  for (int i = 0; i < recipe->stages; i++) {
    struct stage *stage = &recipe->stage[i];
    if (stage_same_shape(stage, shape) && stage->rows_max > rows) {
      stage->rows_max = rows > stage_rows(stage) ? rows : stage_rows(stage);
    }
  }
}

const struct stage *recipe_ground(const struct recipe *recipe, int stage) {
  while (recipe->stage[stage].begin == BEGIN_KEEP) {
    stage--;
    assert(stage >= 0);
  }
  return &recipe->stage[stage];
}

uint32_t recipe_steps(const struct recipe *recipe) {
  uint32_t steps = 0;
  for (int i = 0; i < recipe->stages; i++) {
    steps += (uint32_t)recipe->stage[i].plan.steps;
  }
  return steps;
}
