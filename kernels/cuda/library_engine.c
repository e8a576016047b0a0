/* library_engine.c - asks cuDNN's heuristics for engines, and makes plans of them. */
#include "kernels/cuda/library_engine.h"

#include <assert.h>
#include <string.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static enum status get(const struct library *library, cudnnBackendDescriptor_t descriptor,
                       const struct graph_attribute *a, int64_t *count, void *values) {
  return library_check_cudnn(
      library,
      library->dnn.cudnnBackendGetAttribute(descriptor, a->name, a->type, a->count, count, values),
      "an attribute");
}

static enum status create(const struct library *library, cudnnBackendDescriptorType_t kind,
                          cudnnBackendDescriptor_t *out) {
  return library_check_cudnn(library, library->dnn.cudnnBackendCreateDescriptor(kind, out),
                             "a descriptor");
}

/* ---- asking -------------------------------------------------------------------------------- */

static enum status ask(const struct graph *graph, cudnnBackendHeurMode_t mode,
                       struct engines *engines) {
  struct library *library = graph->library;
  TRY(create(library, CUDNN_BACKEND_ENGINEHEUR_DESCRIPTOR, &engines->query));
  const struct graph_attribute attributes[] = {
      {CUDNN_ATTR_ENGINEHEUR_OPERATION_GRAPH, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &graph->whole},
      {CUDNN_ATTR_ENGINEHEUR_MODE, CUDNN_TYPE_HEUR_MODE, 1, &mode},
      {CUDNN_ATTR_ENGINEHEUR_DEVICEPROP, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &library->properties},
  };
  TRY(graph_set(library, engines->query, attributes,
                COUNT(attributes) - (library->properties == NULL), "a question for engines"));
  for (; engines->made < ENGINES_MAX; engines->made++) {
    TRY(create(library, CUDNN_BACKEND_ENGINECFG_DESCRIPTOR, &engines->config[engines->made]));
  }
  const struct graph_attribute results = {CUDNN_ATTR_ENGINEHEUR_RESULTS,
                                          CUDNN_TYPE_BACKEND_DESCRIPTOR, ENGINES_MAX, NULL};
  return get(library, engines->query, &results, &engines->count, engines->config);
}

enum status engines_ask(const struct graph *graph, struct engines *out) {
  struct engines engines = {.library = graph->library};
  enum status status = ask(graph, CUDNN_HEUR_MODE_A, &engines);
  if (status != OK) {
    engines_close(&engines);
    return status;
  }
  if (engines.count > ENGINES_MAX) {
    engines.count = ENGINES_MAX;
  }
  *out = engines;
  return OK;
}

void engines_close(struct engines *engines) {
  const struct cudnn *dnn = &engines->library->dnn;
  while (engines->made > 0) {
    (void)dnn->cudnnBackendDestroyDescriptor(engines->config[--engines->made]);
  }
  if (engines->query != NULL) {
    (void)dnn->cudnnBackendDestroyDescriptor(engines->query);
    engines->query = NULL;
  }
}

/* ---- judging ------------------------------------------------------------------------------- */

/* Sums in f32, in an order that nothing but the shape decides, of the values as they are.
 * Winograd's and Fourier's transforms lose digits that f16 has not to spare. */
static const bool unwanted_note[CUDNN_NUMERICAL_NOTE_TYPE_COUNT] = {
    [CUDNN_NUMERICAL_NOTE_DOWN_CONVERT_INPUTS] = true,
    [CUDNN_NUMERICAL_NOTE_REDUCED_PRECISION_REDUCTION] = true,
    [CUDNN_NUMERICAL_NOTE_FFT] = true,
    [CUDNN_NUMERICAL_NOTE_NONDETERMINISTIC] = true,
    [CUDNN_NUMERICAL_NOTE_WINOGRAD] = true,
    [CUDNN_NUMERICAL_NOTE_WINOGRAD_TILE_4x4] = true,
    [CUDNN_NUMERICAL_NOTE_WINOGRAD_TILE_6x6] = true,
    [CUDNN_NUMERICAL_NOTE_WINOGRAD_TILE_13x13] = true,
};

/* Knobs that cut a sum into pieces, and the largest setting that means one piece. */
static const struct {
  cudnnBackendKnobType_t knob;
  int64_t whole;
} splits[] = {
    {CUDNN_KNOB_TYPE_SPLIT_K, 1},     {CUDNN_KNOB_TYPE_SPLIT_K_BUF, 0},
    {CUDNN_KNOB_TYPE_SPLIT_K_SLC, 1}, {CUDNN_KNOB_TYPE_SPLIT_P_SLC, 1},
    {CUDNN_KNOB_TYPE_SPLIT_H, 1},     {CUDNN_KNOB_TYPE_SPLIT_RS, 1},
    {CUDNN_KNOB_TYPE_SLICED, 1},      {CUDNN_KNOB_TYPE_STREAM_K, 0},
};

static enum status read_engine(const struct library *library, cudnnBackendDescriptor_t config,
                               cudnnBackendDescriptor_t engine, struct engine *out) {
  const struct graph_attribute engines = {CUDNN_ATTR_ENGINECFG_ENGINE,
                                          CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, NULL};
  int64_t count = 0;
  TRY(get(library, config, &engines, &count, &engine));
  const struct graph_attribute number = {CUDNN_ATTR_ENGINE_GLOBAL_INDEX, CUDNN_TYPE_INT64, 1, NULL};
  TRY(get(library, engine, &number, &count, &out->number));
  cudnnBackendNumericalNote_t note[CUDNN_NUMERICAL_NOTE_TYPE_COUNT];
  const struct graph_attribute notes = {CUDNN_ATTR_ENGINE_NUMERICAL_NOTE, CUDNN_TYPE_NUMERICAL_NOTE,
                                        CUDNN_NUMERICAL_NOTE_TYPE_COUNT, NULL};
  TRY(get(library, engine, &notes, &count, note));
  for (int64_t i = 0; i < count && i < CUDNN_NUMERICAL_NOTE_TYPE_COUNT; i++) {
    if ((unsigned)note[i] >= CUDNN_NUMERICAL_NOTE_TYPE_COUNT || unwanted_note[note[i]]) {
      return fail(UNAVAILABLE, "cuDNN's engine %lld has the numerical note %d",
                  (long long)out->number, (int)note[i]);
    }
  }
  return OK;
}

static enum status read_knob(const struct library *library, cudnnBackendDescriptor_t choice,
                             struct engine *out) {
  const struct graph_attribute type = {CUDNN_ATTR_KNOB_CHOICE_KNOB_TYPE, CUDNN_TYPE_KNOB_TYPE, 1,
                                       NULL};
  const struct graph_attribute value = {CUDNN_ATTR_KNOB_CHOICE_KNOB_VALUE, CUDNN_TYPE_INT64, 1,
                                        NULL};
  int64_t count = 0;
  TRY(get(library, choice, &type, &count, &out->knob[out->knobs]));
  TRY(get(library, choice, &value, &count, &out->value[out->knobs]));
  out->knobs++;
  return OK;
}

static enum status read_knobs(const struct library *library, cudnnBackendDescriptor_t config,
                              struct engine *out) {
  cudnnBackendDescriptor_t choice[CUDNN_KNOB_TYPE_COUNTS];
  int64_t made = 0, count = 0;
  enum status status = OK;
  while (status == OK && made < CUDNN_KNOB_TYPE_COUNTS) {
    status = create(library, CUDNN_BACKEND_KNOB_CHOICE_DESCRIPTOR, &choice[made]);
    made += status == OK;
  }
  if (status == OK) {
    const struct graph_attribute choices = {CUDNN_ATTR_ENGINECFG_KNOB_CHOICES,
                                            CUDNN_TYPE_BACKEND_DESCRIPTOR, made, NULL};
    status = get(library, config, &choices, &count, choice);
  }
  out->knobs = 0;
  for (int64_t i = 0; status == OK && i < count && i < made; i++) {
    status = read_knob(library, choice[i], out);
  }
  while (made > 0) {
    (void)library->dnn.cudnnBackendDestroyDescriptor(choice[--made]);
  }
  return status;
}

static enum status judge_knobs(const struct engine *engine) {
  for (int64_t i = 0; i < engine->knobs; i++) {
    for (size_t k = 0; k < COUNT(splits); k++) {
      if (engine->knob[i] == splits[k].knob && engine->value[i] > splits[k].whole) {
        return fail(UNAVAILABLE, "cuDNN's engine %lld splits sums (knob %d is %lld)",
                    (long long)engine->number, (int)engine->knob[i], (long long)engine->value[i]);
      }
    }
  }
  return OK;
}

enum status engines_read(const struct engines *engines, int64_t i, struct engine *out) {
  struct library *library = engines->library;
  cudnnBackendDescriptor_t descriptor = NULL;
  struct engine engine = {0};
  TRY(create(library, CUDNN_BACKEND_ENGINE_DESCRIPTOR, &descriptor));
  enum status status = read_engine(library, engines->config[i], descriptor, &engine);
  if (status == OK) {
    status = read_knobs(library, engines->config[i], &engine);
  }
  if (status == OK && library->determinism == DETERMINISM_STRICT) {
    status = judge_knobs(&engine);
  }
  (void)library->dnn.cudnnBackendDestroyDescriptor(descriptor);
  TRY(status);
  *out = engine;
  return OK;
}

/* ---- making ------------------------------------------------------------------------------- */

/* The engine's descriptors live as long as this; a plan does not need them afterwards. */
static enum status describe_knobs(struct graph *parts, const struct engine *engine,
                                  cudnnBackendDescriptor_t *choice) {
  for (int64_t i = 0; i < engine->knobs; i++) {
    const struct graph_attribute attributes[] = {
        {CUDNN_ATTR_KNOB_CHOICE_KNOB_TYPE, CUDNN_TYPE_KNOB_TYPE, 1, &engine->knob[i]},
        {CUDNN_ATTR_KNOB_CHOICE_KNOB_VALUE, CUDNN_TYPE_INT64, 1, &engine->value[i]},
    };
    TRY(graph_part(parts, CUDNN_BACKEND_KNOB_CHOICE_DESCRIPTOR, &choice[i]));
    TRY(graph_set(parts->library, choice[i], attributes, COUNT(attributes), "a knob"));
  }
  return OK;
}

static enum status describe_config(struct graph *parts, const struct graph *graph,
                                   const struct engine *engine, cudnnBackendDescriptor_t *out) {
  struct library *library = graph->library;
  cudnnBackendDescriptor_t described = NULL, choice[CUDNN_KNOB_TYPE_COUNTS], config = NULL;
  const struct graph_attribute attributes[] = {
      {CUDNN_ATTR_ENGINE_OPERATION_GRAPH, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &graph->whole},
      {CUDNN_ATTR_ENGINE_GLOBAL_INDEX, CUDNN_TYPE_INT64, 1, &engine->number},
      {CUDNN_ATTR_ENGINE_DEVICEPROP, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &library->properties},
  };
  TRY(graph_part(parts, CUDNN_BACKEND_ENGINE_DESCRIPTOR, &described));
  TRY(graph_set(library, described, attributes, COUNT(attributes) - (library->properties == NULL),
                "an engine"));
  TRY(describe_knobs(parts, engine, choice));
  const struct graph_attribute set[] = {
      {CUDNN_ATTR_ENGINECFG_ENGINE, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &described},
      {CUDNN_ATTR_ENGINECFG_KNOB_CHOICES, CUDNN_TYPE_BACKEND_DESCRIPTOR, engine->knobs, choice},
  };
  TRY(graph_part(parts, CUDNN_BACKEND_ENGINECFG_DESCRIPTOR, &config));
  TRY(graph_set(library, config, set, engine->knobs > 0 ? 2 : 1, "an engine's settings"));
  *out = config;
  return OK;
}

static enum status finish_plan(const struct library *library, cudnnBackendDescriptor_t config,
                               const struct engine_room *room, cudnnBackendDescriptor_t plan,
                               int64_t *workspace_bytes) {
  bool here = library->dnn_handle != NULL;
  const struct graph_attribute attributes[] = {
      {CUDNN_ATTR_EXECUTION_PLAN_ENGINE_CONFIG, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &config},
      here ? (struct graph_attribute){CUDNN_ATTR_EXECUTION_PLAN_HANDLE, CUDNN_TYPE_HANDLE, 1,
                                      &library->dnn_handle}
           : (struct graph_attribute){CUDNN_ATTR_EXECUTION_PLAN_DEVICEPROP,
                                      CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &library->properties},
      {CUDNN_ATTR_EXECUTION_PLAN_KERNEL_CACHE, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &room->kernels},
  };
  TRY(graph_set(library, plan, attributes, COUNT(attributes) - (room->kernels == NULL), "a plan"));
  const struct graph_attribute workspace = {CUDNN_ATTR_EXECUTION_PLAN_WORKSPACE_SIZE,
                                            CUDNN_TYPE_INT64, 1, NULL};
  int64_t count = 0;
  return get(library, plan, &workspace, &count, workspace_bytes);
}

enum status engine_plan(const struct graph *graph, const struct engine *engine,
                        const struct engine_room *room, struct plan *out) {
  struct library *library = graph->library;
  struct graph parts;
  cudnnBackendDescriptor_t config = NULL, plan = NULL;
  int64_t wanted = 0;
  graph_open(library, &parts);
  enum status status = describe_config(&parts, graph, engine, &config);
  if (status == OK) {
    status = create(library, CUDNN_BACKEND_EXECUTION_PLAN_DESCRIPTOR, &plan);
  }
  if (status == OK) {
    status = finish_plan(library, config, room, plan, &wanted);
  }
  if (status == OK && wanted > (int64_t)room->workspace_bytes) {
    status = fail(UNAVAILABLE, "cuDNN's engine %lld wants %lld bytes beside its operands",
                  (long long)engine->number, (long long)wanted);
  }
  graph_close(&parts);
  if (status != OK) {
    if (plan != NULL) {
      (void)library->dnn.cudnnBackendDestroyDescriptor(plan);
    }
    return status;
  }
  *out = (struct plan){plan, wanted, *engine};
  return OK;
}
