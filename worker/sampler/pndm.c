/* pndm.c - Liu et al. 2022 (2202.09778) without its Runge-Kutta beginning, as Stable Diffusion
 * uses it ("PLMS"): the U-Net's outputs of four steps are joined by Adams-Bashforth, then equation
 * 9 goes T/steps timesteps down. The first step is looked at twice, at its beginning and at its
 * end, and made again from the mean of both.
 *
 * Slot 1 keeps the sample that the first step began with, slots 2 to 4 the outputs before, the
 * latest first. A part that begins within the list has no timestep twice, but its second row is
 * made as the second look all the same, so that the sample stays one timestep behind: so does
 * diffusers.
 *
 */
#include "worker/sampler/listed.h"

enum { SLOT_BEGUN = 1, SLOT_OUTPUT = 2, HISTORY = 3, SLOTS = SLOT_OUTPUT + HISTORY };

/* Of the output and of those before, by how many there are. */
static const double weights[HISTORY + 1][HISTORY + 1] = {
    {1.0},
    {3.0 / 2.0, -1.0 / 2.0},
    {23.0 / 12.0, -16.0 / 12.0, 5.0 / 12.0},
    {55.0 / 24.0, -59.0 / 24.0, 37.0 / 24.0, -9.0 / 24.0},
};

static struct form joined(int known) {
  struct form sum = form_times(weights[known][0], form_of(COLUMN_OUTPUT));
  for (int k = 1; k <= known; k++) {
    sum = form_plus(sum, form_times(weights[known][k], form_of(SLOT_OUTPUT + k - 1)));
  }
  return sum;
}

static struct form second_look(void) {
  return form_times(0.5, form_plus(form_of(COLUMN_OUTPUT), form_of(SLOT_OUTPUT)));
}

/* Equation 9 is DDIM's step, written for outputs that are noise. */
static struct form moved(const struct noise_levels *levels, int timestep, int stride,
                         struct form sample, struct form output) {
  struct level to = level_of_alpha_bar(alpha_bar_at(levels, timestep - stride, false));
  struct predicted at =
      predicted_at(levels->facts.prediction, alpha_bar_at(levels, timestep, false), sample, output);
  return form_plus(form_times(to.clean, at.image), form_times(to.noise, at.noise));
}

/* The outputs move on; the second look's is forgotten. */
static void remember(const struct plan *plan, int row) {
  bool second = row == 1;
  plan_set(plan, row, SLOT_OUTPUT, form_of(second ? SLOT_OUTPUT : COLUMN_OUTPUT));
  for (int k = 1; k < HISTORY; k++) {
    plan_set(plan, row, SLOT_OUTPUT + k, form_of(SLOT_OUTPUT + k - (second ? 0 : 1)));
  }
  if (row == 0) {
    plan_set(plan, row, SLOT_BEGUN, form_of(0));
  }
}

static void fill_row(const struct noise_levels *levels, const struct plan *plan, int row,
                     int stride) {
  int timestep = (int)plan->row[row].timestep;
  if (row == 1) {
    plan_set(plan, row, 0,
             moved(levels, timestep + stride, stride, form_of(SLOT_BEGUN), second_look()));
  } else {
    int known = row == 0 ? 0 : row - 1 < HISTORY ? row - 1 : HISTORY;
    plan_set(plan, row, 0, moved(levels, timestep, stride, form_of(0), joined(known)));
  }
  remember(plan, row);
}

/* The list has the second timestep twice. */
static void double_the_second(struct points *points) {
  if (points->steps == 1) {
    return;
  }
  for (int i = points->steps; i > 1; i--) {
    points->timestep[i] = points->timestep[i - 1];
  }
  points->steps++;
}

enum status pndm_fill(struct arena *arena, const struct plan_request *request, struct plan *out) {
  struct listed run;
  TRY(points_of_timesteps(request, &run.points));
  double_the_second(&run.points);
  TRY(part_find(request, run.points.timestep, run.points.steps, 1, &run.part));
  TRY(listed_begin(arena, request, &run, SLOTS, out));
  for (int row = 0; row < out->rows; row++) {
    out->row[row].step = row == 0 ? 0 : row - 1; /* the second look belongs to the first step */
    fill_row(request->levels, out, row, request->levels->facts.train_timesteps / request->steps);
  }
  out->steps = out->row[out->rows - 1].step + 1;
  return OK;
}
