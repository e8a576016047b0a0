/* fleet.c - models that are remembered, then the live workers' own words over them. */
#include "broker/fleet.h"

#include <stdio.h>
#include <string.h>

#include "broker/reply.h"
#include "proto/wire.h"

/* One row of the reply's workers. */
struct row {
  const char *name, *state, *trouble;
  uint64_t generation, held;
  const Darkroom__V1__Hello *hello;
  const redisReply *devices; /* packed; empty when they were not asked for, or are not known */
};

static enum status unpack(const redisReply *bytes, const ProtobufCMessageDescriptor *type,
                          struct arena *arena, ProtobufCMessage **out) {
  if (bytes->str == NULL) {
    fail(BROKEN, "the fleet has an empty record");
    return BROKEN;
  }
  return wire_unpack_type(type, (const uint8_t *)bytes->str, bytes->len, arena, out, NULL);
}

static enum status read_row(const redisReply *element, struct arena *arena, struct row *out) {
  if (element->type != REDIS_REPLY_ARRAY || element->elements != 7) {
    fail(BROKEN, "the script fleet returned something else");
    return BROKEN;
  }
  ProtobufCMessage *hello = NULL;
  TRY(unpack(element->element[4], &darkroom__v1__hello__descriptor, arena, &hello));
  *out = (struct row){.name = reply_text(element->element[0]),
                      .generation = reply_number(element->element[1]),
                      .state = reply_text(element->element[2]),
                      .held = reply_number(element->element[3]),
                      .hello = (const Darkroom__V1__Hello *)hello,
                      .trouble = reply_text(element->element[5]),
                      .devices = element->element[6]};
  return OK;
}

static struct fleet_model *find(struct fleet *fleet, const char *id) {
  for (size_t i = 0; i < fleet->count; i++) {
    if (strcmp(fleet->model[i].id, id) == 0) {
      return &fleet->model[i];
    }
  }
  return NULL;
}

/* Models stay known when their workers have gone: a fleet scaled to zero still takes jobs. */
static void remember(struct fleet *fleet, const char *id, const Darkroom__V1__ModelInfo *info) {
  if (fleet->count == FLEET_MODELS_MAX || strlen(id) > JOB_MODEL_BYTES_MAX) {
    return;
  }
  struct fleet_model *model = &fleet->model[fleet->count++];
  *model = (struct fleet_model){.default_side = info->default_side,
                                .least_side = info->max_side,
                                .largest_side = info->max_side};
  snprintf(model->id, sizeof model->id, "%s", id);
  snprintf(model->sha256, sizeof model->sha256, "%s", info->sha256 != NULL ? info->sha256 : "");
  snprintf(model->family, sizeof model->family, "%s", info->family != NULL ? info->family : "");
}

/* The first live worker of a model replaces the remembered limits, the others widen them. */
static void count_worker(struct fleet *fleet, const Darkroom__V1__Hello *hello) {
  for (size_t i = 0; i < hello->n_model; i++) {
    const Darkroom__V1__ModelInfo *info = hello->model[i];
    struct fleet_model *model = info->id != NULL ? find(fleet, info->id) : NULL;
    if (model == NULL) {
      continue;
    }
    bool first = model->workers++ == 0;
    model->least_side =
        first || info->max_side < model->least_side ? info->max_side : model->least_side;
    model->largest_side =
        first || info->max_side > model->largest_side ? info->max_side : model->largest_side;
  }
}

static struct fleet_extra *find_extra(struct fleet *fleet, Darkroom__V1__ExtraKind kind,
                                      const char *id) {
  for (size_t i = 0; i < fleet->extra_count; i++) {
    if (fleet->extra[i].kind == kind && strcmp(fleet->extra[i].id, id) == 0) {
      return &fleet->extra[i];
    }
  }
  return NULL;
}

static void copy_text(char *to, size_t room, const char *text) {
  snprintf(to, room, "%s", text != NULL ? text : "");
}

/* Also of a worker that is away and not forgotten yet: while it is started again what it has is no
 * unknown word. */
static void count_extras(struct fleet *fleet, const Darkroom__V1__Hello *hello, bool live) {
  fleet->live += live;
  for (size_t i = 0; i < hello->n_extra; i++) {
    const Darkroom__V1__ExtraInfo *info = hello->extra[i];
    if (info->id == NULL || strlen(info->id) > JOB_NAME_BYTES_MAX) {
      continue;
    }
    struct fleet_extra *extra = find_extra(fleet, info->kind, info->id);
    if (extra == NULL && fleet->extra_count < FLEET_EXTRAS_MAX) {
      extra = &fleet->extra[fleet->extra_count++];
      *extra = (struct fleet_extra){.kind = info->kind};
      copy_text(extra->id, sizeof extra->id, info->id);
      copy_text(extra->sha256, sizeof extra->sha256, info->sha256);
      copy_text(extra->family, sizeof extra->family, info->family);
    }
    if (extra != NULL) {
      extra->workers += live;
    }
  }
}

bool hello_has_tiny(const Darkroom__V1__Hello *hello, const Darkroom__V1__ModelInfo *model) {
  for (size_t i = 0; i < hello->n_extra; i++) {
    const Darkroom__V1__ExtraInfo *extra = hello->extra[i];
    bool fits = extra->family == NULL || extra->family[0] == '\0' ||
                (model->family != NULL && strcmp(extra->family, model->family) == 0);
    if (extra->kind == DARKROOM__V1__EXTRA_KIND__EXTRA_TINY && fits) {
      return true;
    }
  }
  return false;
}

static void mark_tiny(struct fleet *fleet, const Darkroom__V1__Hello *hello) {
  for (size_t i = 0; i < hello->n_model; i++) {
    const char *id = hello->model[i]->id;
    struct fleet_model *model = id != NULL ? find(fleet, id) : NULL;
    if (model != NULL) {
      model->tiny = model->tiny || hello_has_tiny(hello, hello->model[i]);
    }
  }
}

bool fleet_has_tiny(const struct fleet *fleet, const struct fleet_model *model) {
  return fleet->live == 0 || model->tiny;
}

/* A fleet with more extras than are kept cannot say of one that it has it not. */
bool fleet_has_extra(const struct fleet *fleet, Darkroom__V1__ExtraKind kind, const char *id) {
  return fleet->live == 0 || fleet->extra_count == FLEET_EXTRAS_MAX ||
         find_extra((struct fleet *)fleet, kind, id) != NULL;
}

/* On failure the fleet is what was read so far: submits for models that are missing are answered as
 * unknown or away until the next reading, two seconds later at most. */
enum status fleet_read(struct fleet *fleet, const redisReply *reply, struct arena *arena) {
  const redisReply *models = reply->element[1], *workers = reply->element[2];
  fleet->count = fleet->extra_count = 0;
  fleet->live = 0;
  snprintf(fleet->default_model, sizeof fleet->default_model, "%s", reply_text(reply->element[0]));
  for (size_t i = 0; i + 1 < models->elements; i += 2) {
    struct arena_mark mark = arena_mark(arena);
    ProtobufCMessage *info = NULL;
    TRY(unpack(models->element[i + 1], &darkroom__v1__model_info__descriptor, arena, &info));
    remember(fleet, reply_text(models->element[i]), (const Darkroom__V1__ModelInfo *)info);
    arena_release(arena, mark);
  }
  for (size_t i = 0; i < workers->elements; i++) {
    struct arena_mark mark = arena_mark(arena);
    struct row row;
    TRY(read_row(workers->element[i], arena, &row));
    bool live = strcmp(row.state, "ready") == 0;
    if (live) {
      count_worker(fleet, row.hello);
    }
    count_extras(fleet, row.hello, live);
    mark_tiny(fleet, row.hello);
    arena_release(arena, mark);
  }
  return OK;
}

const struct fleet_model *fleet_find(const struct fleet *fleet, const char *id) {
  return find((struct fleet *)fleet, id);
}

static enum status list_extras(const struct fleet *fleet, struct arena *arena,
                               Darkroom__V1__ModelList *out) {
  Darkroom__V1__ExtraInfo *infos = arena_take(arena, fleet->extra_count * sizeof *infos);
  Darkroom__V1__ExtraInfo **list = arena_take(arena, fleet->extra_count * sizeof(void *));
  if (infos == NULL || list == NULL) {
    return EXHAUSTED;
  }
  for (size_t i = 0; i < fleet->extra_count; i++) {
    const struct fleet_extra *extra = &fleet->extra[i];
    Darkroom__V1__ExtraInfo *info = list[i] = &infos[i];
    darkroom__v1__extra_info__init(info);
    info->has_kind = info->has_workers = true;
    info->kind = extra->kind;
    info->id = (char *)extra->id;
    info->sha256 = extra->sha256[0] != '\0' ? (char *)extra->sha256 : NULL;
    info->family = extra->family[0] != '\0' ? (char *)extra->family : NULL;
    info->workers = extra->workers;
  }
  out->extra = list;
  out->n_extra = fleet->extra_count;
  return OK;
}

enum status fleet_models(const struct fleet *fleet, struct arena *arena,
                         Darkroom__V1__ModelList *out) {
  Darkroom__V1__ModelInfo *infos = arena_take(arena, fleet->count * sizeof *infos);
  Darkroom__V1__ModelInfo **list = arena_take(arena, fleet->count * sizeof(void *));
  if (infos == NULL || list == NULL) {
    return EXHAUSTED;
  }
  for (size_t i = 0; i < fleet->count; i++) {
    const struct fleet_model *model = &fleet->model[i];
    Darkroom__V1__ModelInfo *info = list[i] = &infos[i];
    darkroom__v1__model_info__init(info);
    info->id = (char *)model->id;
    info->sha256 = model->sha256[0] != '\0' ? (char *)model->sha256 : NULL;
    info->family = model->family[0] != '\0' ? (char *)model->family : NULL;
    info->has_default_side = info->has_max_side = info->has_workers = true;
    info->default_side = model->default_side;
    info->max_side = model->least_side;
    info->workers = model->workers;
  }
  TRY(list_extras(fleet, arena, out));
  out->model = list;
  out->n_model = fleet->count;
  out->default_model = fleet->default_model[0] != '\0' ? (char *)fleet->default_model : NULL;
  return OK;
}

/* Of one that has gone nobody knows how its devices are. */
static enum status describe_devices(const struct row *row, struct arena *arena,
                                    Darkroom__V1__WorkerInfo *info) {
  if (strcmp(row->state, "gone") == 0 || row->devices->str == NULL || row->devices->len == 0) {
    return OK;
  }
  ProtobufCMessage *message = NULL;
  TRY(unpack(row->devices, &darkroom__v1__devices__descriptor, arena, &message));
  const Darkroom__V1__Devices *devices = (const Darkroom__V1__Devices *)message;
  info->device_info = devices->device;
  info->n_device_info = devices->n_device;
  return OK;
}

static enum status describe(const struct row *row, struct arena *arena,
                            Darkroom__V1__WorkerInfo **out) {
  Darkroom__V1__WorkerInfo *info = arena_take(arena, sizeof *info);
  char **models = arena_take(arena, row->hello->n_model * sizeof(void *));
  if (info == NULL || models == NULL) {
    return EXHAUSTED;
  }
  darkroom__v1__worker_info__init(info);
  for (size_t i = 0; i < row->hello->n_model; i++) {
    models[i] = row->hello->model[i]->id;
  }
  info->id = (char *)row->name;
  info->has_generation = info->has_running = true;
  info->generation = row->generation;
  info->running = (uint32_t)row->held;
  info->state = (char *)row->state;
  info->device = row->hello->device;
  info->n_device = row->hello->n_device;
  info->model = models;
  info->n_model = row->hello->n_model;
  info->version = row->hello->version;
  info->trouble = row->trouble[0] != '\0' ? (char *)row->trouble : NULL;
  TRY(describe_devices(row, arena, info));
  *out = info;
  return OK;
}

enum status fleet_workers(const redisReply *reply, struct arena *arena,
                          Darkroom__V1__WorkerInfo ***out, size_t *count) {
  const redisReply *workers = reply->element[2];
  Darkroom__V1__WorkerInfo **infos = arena_take(arena, workers->elements * sizeof *infos);
  if (infos == NULL) {
    return EXHAUSTED;
  }
  for (size_t i = 0; i < workers->elements; i++) {
    struct row row;
    TRY(read_row(workers->element[i], arena, &row));
    TRY(describe(&row, arena, &infos[i]));
  }
  *out = infos;
  *count = workers->elements;
  return OK;
}
