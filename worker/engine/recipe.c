/* recipe.c - a job's stages, one after another. */
#include "worker/engine/recipe.h"

#include <assert.h>

#define RECIPE_BYTES_MAX \
  (STAGES_MAX * (JOB_STEPS_MAX * 2 * sizeof(struct plan_row) + 4096) + sizeof(struct recipe))

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

static enum status fill(const struct residence *residence, const Darkroom__V1__Job *job,
                        struct refusal *why, struct recipe *out) {
  const char *model = job->model != NULL ? job->model : "";
  const struct resident *resident = residence_find(residence, model);
  if (resident == NULL) {
    return refuse(why, DARKROOM__V1__ERROR_CODE__ERROR_UNKNOWN_MODEL, "model", NULL,
                  "model %.64s is not on this device", model[0] != '\0' ? model : "\"\"");
  }
  uint32_t side = (uint32_t)resident_side(resident);
  const struct stage_request request = {.job = job,
                                        .resident = resident,
                                        .begin = BEGIN_NOISE,
                                        .width = job->has_width ? job->width : side,
                                        .height = job->has_height ? job->height : side,
                                        .steps = job->steps,
                                        .strength = 1,
                                        .to = 1,
                                        .score = SCORE,
                                        .negative_score = NEGATIVE_SCORE};
  TRY(stage_fill(&request, out->memory, why, &out->stage[0]));
  out->stages = 1;
  sum_up(out);
  return OK;
}

enum status recipe_open(const struct residence *residence, const Darkroom__V1__Job *job,
                        struct refusal *why, struct recipe **out) {
  struct arena *memory = NULL;
  TRY(arena_open(NULL, RECIPE_BYTES_MAX, &memory));
  struct recipe *recipe = arena_take_zeroed(memory, sizeof *recipe);
  if (recipe == NULL) {
    arena_close(&memory);
    return EXHAUSTED;
  }
  *recipe = (struct recipe){.memory = memory, .holders = 1};
  enum status status = fill(residence, job, why, recipe);
  if (status != OK) {
    recipe_release(&recipe);
    return status;
  }
  *out = recipe;
  return OK;
}

enum status recipe_condition(struct recipe *recipe, struct conditionings *conditionings,
                             struct arena *scratch) {
  for (int i = 0; i < recipe->stages; i++) {
    TRY(stage_condition(&recipe->stage[i], conditionings, scratch));
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
