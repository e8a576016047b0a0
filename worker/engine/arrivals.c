/* arrivals.c - who comes next, what goes for it, and when. */
#include "worker/engine/arrivals.h"

#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "monitoring/log.h"
#include "worker/engine/example.h"
#include "worker/engine/memory.h"

#define WAIT_MS 10 /* for files, while there is nothing else: so soon are orders read */

/* ---- who is where ---- */

static bool uses(const struct recipe *recipe, const struct resident *resident) {
  for (int i = 0; i < recipe->stages; i++) {
    if (recipe->stage[i].resident == resident) {
      return true;
    }
  }
  return false;
}

/* By a job, by a turn under way whose job has left, or by weights in the making. */
static bool is_held(const struct engine *engine, const struct resident *resident) {
  if (adapters_hold_model(engine->adapters, resident)) {
    return true;
  }
  for (int i = 0; i < SAMPLES_MAX; i++) {
    if (engine->tasks[i].taken && uses(engine->tasks[i].recipe, resident)) {
      return true;
    }
  }
  for (int i = 0; i < engine->leaving.count; i++) {
    if (uses(engine->leaving.row[i].recipe, resident)) {
      return true;
    }
  }
  return false;
}

static bool any_task(const struct engine *engine) {
  for (int i = 0; i < SAMPLES_MAX; i++) {
    if (engine->tasks[i].taken) {
      return true;
    }
  }
  return flights_any(&engine->flights);
}

static size_t count_home(const struct engine *engine) {
  size_t count = 0;
  for (size_t i = 0; i < engine->residence.count; i++) {
    count += engine->residence.rows[i].presence == AT_HOME;
  }
  return count;
}

static void tell(const struct engine *engine, struct engine_move move) {
  move.home = count_home(engine);
  if (engine->listener.moved != NULL) {
    engine->listener.moved(engine->listener.context, &move);
  }
}

/* ---- going ---- */

/* What was made with its weights goes before them. */
static enum status evict(struct engine *engine, struct resident *resident) {
  TRY(device_wait(engine->settings.device));
  device_forget_sequences(engine->settings.device);
  adapters_forget_model(engine->adapters, resident);
  words_forget_model(engine->words, resident);
  conditionings_forget_model(engine->conditionings, resident);
  model_close(&resident->model);
  resident_move(resident, NULL);
  budget_give(&engine->budget, resident->bytes);
  log_event("model_evicted", log_text("model", resident->id), log_count("bytes", resident->bytes),
            log_number("home_ms", clock_ms() - resident->home_ms));
  tell(engine, (struct engine_move){.model = resident->id, .bytes = resident->bytes});
  return OK;
}

/* One that a job waits for is about to be used, and goes only when nobody is at work who would
 * leave otherwise: then it is that or nothing. */
static struct resident *first_to_go(struct engine *engine) {
  struct resident *first = NULL;
  bool alone = engine->alone || !any_task(engine);
  for (size_t i = 0; i < engine->residence.count; i++) {
    struct resident *resident = &engine->residence.rows[i];
    bool may = resident->outline != NULL && resident->presence == AT_HOME &&
               (resident->asked_ms == 0 || alone) && !is_held(engine, resident);
    if (!may) {
      continue;
    }
    bool waited = first != NULL && resident->asked_ms != 0 && first->asked_ms == 0;
    bool sooner = first == NULL || (first->asked_ms != 0 && resident->asked_ms == 0) ||
                  (!waited && resident->last_job < first->last_job);
    first = sooner ? resident : first;
  }
  return first;
}

bool arrivals_forget_oldest(void *context) {
  struct engine *engine = context;
  struct resident *resident = first_to_go(engine);
  return resident != NULL && evict(engine, resident) == OK;
}

/* ---- trouble ---- */

static void note_trouble(struct engine *engine, struct resident *resident, enum status status) {
  resident->trouble = status;
  resident->trouble_ms = clock_ms();
  resident->asked_ms = 0;
  snprintf(resident->reason, sizeof resident->reason, "model %s could not be loaded: %s",
           resident->id, fail_reason());
  log_error("model_load_failed", log_text("model", resident->id),
            log_text("status", status_name(status)), log_text("reason", resident->reason));
  tell(engine, (struct engine_move){.model = resident->id, .failed = resident->reason});
}

static bool in_trouble(const struct resident *resident) {
  return resident->trouble != OK && clock_ms() - resident->trouble_ms < TROUBLE_MS;
}

/* ---- coming ---- */

static struct resident *first_to_come(struct engine *engine) {
  struct resident *first = NULL;
  for (size_t i = 0; i < engine->residence.count; i++) {
    struct resident *resident = &engine->residence.rows[i];
    bool waits = resident->presence == AWAY && resident->asked_ms != 0;
    first = waits && (first == NULL || resident->asked_ms < first->asked_ms) ? resident : first;
  }
  return first;
}

/* Scratch left over from larger pictures need not stay when nobody is here. */
static enum status find_room(struct engine *engine, size_t bytes) {
  enum status status = conditionings_make_room(engine->conditionings, bytes);
  if (status != EXHAUSTED || any_task(engine) || !scratch_any(engine)) {
    return status;
  }
  TRY(scratch_close(engine));
  return conditionings_make_room(engine->conditionings, bytes);
}

/* In the load's thread. */
static enum status open_model(void *context, const struct loader_pauses *pauses, void **out) {
  const struct arriving *arriving = context;
  struct model *model = NULL;
  TRY(model_open_beside(arriving->device, arriving->source, pauses, &model));
  *out = model;
  return OK;
}

static enum status begin_load(struct engine *engine, const struct resident *next) {
  struct arrivals *arrivals = &engine->arrivals;
  arrivals->arriving = (struct arriving){engine->settings.device, &next->source};
  const struct load_work work = {open_model, &arrivals->arriving};
  return load_begin(&work, &arrivals->load);
}

static enum status begin(struct engine *engine) {
  struct arrivals *arrivals = &engine->arrivals;
  struct resident *next = first_to_come(engine);
  if (next == NULL) {
    arrivals->short_ms = 0;
    return OK;
  }
  enum status status = find_room(engine, next->bytes);
  if (status == EXHAUSTED && any_task(engine)) {
    arrivals->short_ms = arrivals->short_ms != 0 ? arrivals->short_ms : clock_ms();
    return OK;
  }
  arrivals->short_ms = 0;
  if (status == OK) {
    status = begin_load(engine, next);
    if (status == OK) {
      next->presence = COMING;
      arrivals->who = next;
      arrivals->promised = next->bytes;
      arrivals->began_ms = clock_ms();
      arrivals->given_up = false;
      return OK;
    }
    budget_give(&engine->budget, next->bytes);
  }
  if (status != BROKEN) {
    note_trouble(engine, next, status);
  }
  return status == BROKEN ? BROKEN : OK;
}

/* Files whose hash was right may still be others than those that were looked at at the start. */
static enum status check_facts(const struct resident *resident, const struct model *model) {
  const struct family *now = model_family(model), *then = resident->family;
  bool same = now->row == then->row && now->scale_factor == then->scale_factor &&
              now->unet.sample_side == then->unet.sample_side &&
              now->unet.in_channels == then->unet.in_channels &&
              now->unet.cross_width == then->unet.cross_width &&
              now->vae.latent_channels == then->vae.latent_channels;
  return same ? OK
              : fail_field(BAD_INPUT, "weights",
                           "its files are of another model than when the engine started");
}

/* The budget has what was promised; the rest is known now. */
static enum status settle_bytes(struct engine *engine, struct resident *resident, size_t bytes) {
  size_t promised = engine->arrivals.promised;
  resident->bytes = bytes; /* known from now on */
  if (bytes <= promised) {
    budget_give(&engine->budget, promised - bytes);
    return OK;
  }
  return find_room(engine, bytes - promised);
}

/* Its weights are here, and go through what a pinned one's go through at the start. */
static void begin_trial(struct engine *engine, struct resident *resident) {
  struct self_test test = {.device = engine->settings.device,
                           .answers = engine->settings.answers,
                           .source = &resident->source,
                           .wants_picture = example_wanted(resident->family)};
  resident_info(resident, &test.model);
  resident->presence = TRIED;
  trial_begin(engine, &engine->arrivals.trial, resident, &test);
}

static enum status move_in(struct engine *engine, struct resident *resident, struct model *model) {
  TRY(check_facts(resident, model));
  TRY(settle_bytes(engine, resident, model_bytes(model)));
  resident_move(resident, model);
  begin_trial(engine, resident);
  return OK;
}

static void settle_in(struct engine *engine, struct resident *resident) {
  resident->presence = AT_HOME;
  resident->trouble = OK;
  resident->home_ms = clock_ms();
  resident->last_job = engine->admitted;
  engine->arrivals.settled_ms = resident->home_ms;
  int64_t ms = resident->home_ms - engine->arrivals.began_ms;
  log_event("model_loaded", log_text("model", resident->id), log_count("bytes", resident->bytes),
            log_number("ms", ms));
  tell(engine, (struct engine_move){
                   .model = resident->id, .came = true, .bytes = resident->bytes, .ms = ms});
}

/* One that fails its trial goes again, and its jobs fail with the reason. */
static enum status go_on_trying(struct engine *engine) {
  struct resident *resident = engine->arrivals.who;
  bool over = false;
  enum status status = trial_turn(engine, &engine->arrivals.trial, &over);
  if (!over || status == BROKEN) {
    return status;
  }
  if (status == OK) {
    settle_in(engine, resident);
    return OK;
  }
  char reason[FAIL_REASON_MAX];
  snprintf(reason, sizeof reason, "%s", fail_reason());
  resident->home_ms = clock_ms();
  TRY(evict(engine, resident));
  (void)fail(status, "%s", reason);
  note_trouble(engine, resident, status);
  return OK;
}

/* A model that turned out to be larger than there is room for waits for more, and is loaded once
 * more. */
static enum status finish(struct engine *engine) {
  struct arrivals *arrivals = &engine->arrivals;
  struct resident *resident = arrivals->who;
  void *made = NULL;
  enum status status = load_end(&arrivals->load, &made);
  struct model *model = made;
  resident->presence = AWAY;
  bool loaded = status == OK;
  status = loaded ? move_in(engine, resident, model) : status;
  if (status == OK || status == BROKEN) {
    return status;
  }
  char reason[FAIL_REASON_MAX];
  snprintf(reason, sizeof reason, "%s", fail_reason());
  model_close(&model);
  budget_give(&engine->budget, arrivals->promised);
  bool later = arrivals->given_up || (loaded && status == EXHAUSTED && any_task(engine));
  if (!later) {
    (void)fail(status, "%s", reason);
    note_trouble(engine, resident, status);
  }
  return OK;
}

enum status arrivals_turn(struct engine *engine, int64_t slice_ms, bool idle) {
  struct arrivals *arrivals = &engine->arrivals;
  if (arrivals->trial.who != NULL) {
    return go_on_trying(engine);
  }
  if (arrivals->load == NULL) {
    TRY(begin(engine));
  }
  if (arrivals->load == NULL) {
    return OK;
  }
  if (arrivals->who->asked_ms == 0 && !arrivals->given_up) {
    arrivals->given_up = true;
    load_give_up(arrivals->load);
  }
  enum load_state state = load_turn(arrivals->load, slice_ms);
  if (state == LOAD_READS && idle) {
    load_wait(arrivals->load, WAIT_MS);
  }
  return state == LOAD_ENDED ? finish(engine) : OK;
}

bool arrivals_any(const struct engine *engine) {
  bool waits = false;
  for (size_t i = 0; i < engine->residence.count && !waits; i++) {
    const struct resident *resident = &engine->residence.rows[i];
    waits = resident->presence == AWAY && resident->asked_ms != 0;
  }
  return waits || engine->arrivals.load != NULL || engine->arrivals.trial.who != NULL;
}

void arrivals_close(struct engine *engine) {
  void *made = NULL;
  if (engine->arrivals.load != NULL) {
    (void)load_end(&engine->arrivals.load, &made);
    struct model *model = made;
    model_close(&model);
  }
}

/* ---- jobs ---- */

static void ask(struct resident *resident, int64_t since_ms) {
  bool sooner = resident->asked_ms == 0 || since_ms < resident->asked_ms;
  resident->asked_ms = sooner ? since_ms : resident->asked_ms;
}

static struct resident *find(struct engine *engine, const char *id) {
  for (size_t i = 0; id != NULL && i < engine->residence.count; i++) {
    if (strcmp(engine->residence.rows[i].id, id) == 0) {
      return &engine->residence.rows[i];
    }
  }
  return NULL;
}

bool engine_expects(struct engine *engine, const struct engine_wish *wish) {
  struct resident *wanted[] = {find(engine, wish->model), find(engine, wish->refiner)};
  bool all = !merges_expected(adapters_merges(engine->adapters), wish->id, wish->fence);
  bool trouble = false;
  for (size_t i = 0; i < sizeof wanted / sizeof wanted[0]; i++) {
    trouble = trouble || (wanted[i] != NULL && in_trouble(wanted[i]));
  }
  for (size_t i = 0; i < sizeof wanted / sizeof wanted[0] && !trouble; i++) {
    if (wanted[i] != NULL && wanted[i]->outline != NULL) {
      ask(wanted[i], wish->since_ms);
      all = all && wanted[i]->presence == AT_HOME;
    }
  }
  return all;
}

void engine_ask_anew(struct engine *engine) {
  merges_ask_anew(adapters_merges(engine->adapters));
  for (size_t i = 0; i < engine->residence.count; i++) {
    engine->residence.rows[i].asked_ms = 0;
  }
}

/* Another job of the same models waits on: who asks for it does so again. */
void arrivals_note(struct engine *engine, const struct task *task) {
  for (int i = 0; i < task->recipe->stages; i++) {
    struct resident *resident = find(engine, task->recipe->stage[i].resident->id);
    resident->asked_ms = 0;
    resident->last_job = engine->admitted;
  }
}

/* Newcomers wait while one has waited for its room long enough, or is about to be tried. */
static bool is_barred(const struct engine *engine) {
  const struct arrivals *arrivals = &engine->arrivals;
  if (arrivals->trial.who != NULL && arrivals->trial.waits) {
    return true;
  }
  int64_t now = clock_ms();
  return arrivals->short_ms != 0 && now - arrivals->short_ms >= TENURE_MS &&
         now - arrivals->settled_ms >= TENURE_MS;
}

/* Both models of a job are at home at once. */
static size_t bytes_of_models(const struct task *task) {
  const struct recipe *recipe = task->recipe;
  size_t bytes = 0;
  for (int i = 0; i < recipe->stages; i++) {
    const struct resident *resident = recipe->stage[i].resident;
    bool before = i > 0 && recipe->stage[i - 1].resident == resident;
    bytes = budget_sum(bytes, before || resident->outline == NULL ? 0 : resident->bytes);
  }
  return bytes;
}

/* A job of the trial itself. */
static bool is_trial(const struct engine *engine, const struct task *task) {
  const struct resident *resident = task->recipe->stage[0].resident;
  return resident->presence == TRIED && engine->arrivals.trial.who == resident &&
         strcmp(task->id, SELF_TEST_ID) == 0;
}

enum status arrivals_check(struct engine *engine, const struct task *task, struct refusal *why) {
  const struct recipe *recipe = task->recipe;
  if (is_trial(engine, task)) {
    return OK;
  }
  bool away = false;
  if (bytes_of_models(task) > engine->budget.max) {
    return refuse(why, DARKROOM__V1__ERROR_CODE__ERROR_EXHAUSTED, "refiner", NULL,
                  "its models take more memory together than there is here");
  }
  for (int i = 0; i < recipe->stages; i++) {
    const struct resident *resident = recipe->stage[i].resident;
    if (resident->presence != AT_HOME && in_trouble(resident)) {
      return refuse(why,
                    resident->trouble == EXHAUSTED ? DARKROOM__V1__ERROR_CODE__ERROR_EXHAUSTED
                                                   : DARKROOM__V1__ERROR_CODE__ERROR_ENGINE,
                    i == 0 ? "model" : "refiner", NULL, "%s", resident->reason);
    }
    away = away || resident->presence != AT_HOME;
  }
  if (away) {
    for (int i = 0; i < recipe->stages; i++) {
      ask(find(engine, recipe->stage[i].resident->id), clock_ms());
    }
    return fail(EXHAUSTED, "model %s is not at home yet", recipe->stage[0].resident->id);
  }
  return is_barred(engine) ? fail(EXHAUSTED, "a model waits for its room") : OK;
}
