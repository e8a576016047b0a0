/* extras.c - the table's kinds are the contract's, but for models themselves. */
#include "worker/extras.h"

#include <string.h>

#include "proto/job.h"

static const struct {
  enum models_kind kind;
  Darkroom__V1__ExtraKind told;
} kinds[] = {
    {MODELS_CONTROL, DARKROOM__V1__EXTRA_KIND__EXTRA_CONTROL},
    {MODELS_LORA, DARKROOM__V1__EXTRA_KIND__EXTRA_ADAPTER},
    {MODELS_EMBEDDING, DARKROOM__V1__EXTRA_KIND__EXTRA_EMBEDDING},
    {MODELS_TINY, DARKROOM__V1__EXTRA_KIND__EXTRA_TINY},
};

/* False for a model. */
static bool told_as(const struct models_row *row, Darkroom__V1__ExtraKind *out) {
  for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
    if (kinds[i].kind == row->kind) {
      *out = kinds[i].told;
      return true;
    }
  }
  return false;
}

static bool on_child(const struct models_row *row, const struct child *child) {
  return models_row_on(row, child->place->name, child->place->open);
}

static bool on_ready_child(const struct worker *worker, const struct models_row *row) {
  for (size_t i = 0; i < worker->children.count; i++) {
    const struct child *child = &worker->children.child[i];
    if (child->state == CHILD_READY && on_child(row, child)) {
      return true;
    }
  }
  return false;
}

size_t extras_list(const struct worker *worker, Darkroom__V1__ExtraInfo *infos,
                   Darkroom__V1__ExtraInfo **list) {
  size_t count = 0;
  for (size_t i = 0; i < worker->table->count && count < EXTRAS_MAX; i++) {
    const struct models_row *row = &worker->table->row[i];
    Darkroom__V1__ExtraInfo *info = &infos[count];
    Darkroom__V1__ExtraKind kind = DARKROOM__V1__EXTRA_KIND__EXTRA_CONTROL;
    if (!told_as(row, &kind) || !on_ready_child(worker, row)) {
      continue;
    }
    darkroom__v1__extra_info__init(info);
    info->has_kind = 1;
    info->kind = kind;
    info->id = (char *)row->id;
    info->sha256 = (char *)row->sha256;
    info->family = (char *)row->source.family;
    list[count++] = info;
  }
  return count;
}

static bool child_has(const struct worker *worker, size_t index, enum models_kind kind,
                      const char *id) {
  const struct child *child = &worker->children.child[index];
  for (size_t i = 0; id != NULL && i < worker->table->count; i++) {
    const struct models_row *row = &worker->table->row[i];
    if (row->kind == kind && strcmp(row->id, id) == 0 && on_child(row, child)) {
      return true;
    }
  }
  if (id != NULL) {
    fail(BAD_INPUT, "this worker has no %.64s", id);
  }
  return id == NULL;
}

static bool refiner_on(const struct child *child, const Darkroom__V1__Refiner *refiner) {
  if (refiner == NULL || child_model(child, refiner->model) != NULL) {
    return true;
  }
  fail(BAD_INPUT, "this worker has no %.64s beside its model", refiner->model);
  return false;
}

/* As far as the table says: whether it decodes such latents is seen where it is opened. */
static bool has_tiny(const struct worker *worker, const struct child *child, const char *id) {
  const struct child_model *model = child_model(child, id);
  for (size_t i = 0; model != NULL && i < worker->table->count; i++) {
    const struct models_row *row = &worker->table->row[i];
    const char *family = row->source.family;
    if (row->kind == MODELS_TINY && on_child(row, child) &&
        (family == NULL || strcmp(family, model->family) == 0)) {
      return true;
    }
  }
  return false;
}

/* A job names no tiny decoder. Where another child has one for its model the job goes there; where
 * none has, any engine refuses it for good and says what is there. */
static bool tiny_on(const struct worker *worker, size_t index, const Darkroom__V1__Job *job) {
  const struct children *children = &worker->children;
  if (!job_wants_tiny(job) || has_tiny(worker, &children->child[index], job->model)) {
    return true;
  }
  for (size_t i = 0; i < children->count; i++) {
    if (children->child[i].state == CHILD_READY &&
        has_tiny(worker, &children->child[i], job->model)) {
      fail(BAD_INPUT, "this device has no tiny decoder for %.64s", job->model);
      return false;
    }
  }
  return true;
}

bool extras_on(const struct worker *worker, size_t child, const Darkroom__V1__Job *job) {
  bool here =
      refiner_on(&worker->children.child[child], job->refiner) && tiny_on(worker, child, job);
  for (size_t i = 0; here && i < job->n_control; i++) {
    here = child_has(worker, child, MODELS_CONTROL, job->control[i]->model);
  }
  for (size_t i = 0; here && i < job->n_adapter; i++) {
    here = child_has(worker, child, MODELS_LORA, job->adapter[i]->name);
  }
  for (size_t i = 0; here && i < job->n_embedding; i++) {
    here = child_has(worker, child, MODELS_EMBEDDING, job->embedding[i]->name);
  }
  return here;
}
