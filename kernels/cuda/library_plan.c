/* library_plan.c - decides once which engine serves a problem, keeps its plans, and queues them. */
#include "kernels/cuda/library_plan.h"

#include <assert.h>
#include <stdlib.h>

#include "kernels/cuda/library_engine.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static void close_plan(struct library *library, void *made) {
  struct plan *plan = made;
  (void)library->dnn.cudnnBackendDestroyDescriptor(plan->descriptor);
  free(plan);
}

static void close_engine(struct library *library, void *made) {
  (void)library;
  free(made);
}

/* ---- kernels that cuDNN compiled, shared by graphs of any shape ---- */

static void close_kernels(struct library *library, void *made) {
  (void)library->dnn.cudnnBackendDestroyDescriptor(*(cudnnBackendDescriptor_t *)made);
  free(made);
}

static enum status new_kernels(struct library *library, const struct graph *graph,
                               struct library_entry *entry) {
  const struct graph_attribute attribute = {CUDNN_ATTR_KERNEL_CACHE_OPERATION_GRAPH,
                                            CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &graph->whole};
  cudnnBackendDescriptor_t made = NULL;
  TRY(library_check_cudnn(
      library,
      library->dnn.cudnnBackendCreateDescriptor(CUDNN_BACKEND_KERNEL_CACHE_DESCRIPTOR, &made),
      "compiled kernels"));
  enum status status = graph_set(library, made, &attribute, 1, "compiled kernels");
  if (status == OK) {
    status = library_keep(entry, &made, sizeof made, close_kernels);
  }
  if (status != OK) {
    (void)library->dnn.cudnnBackendDestroyDescriptor(made);
  }
  return status;
}

static enum status kernels_of(struct library *library, const struct graph_maker *maker,
                              const struct graph *graph, cudnnBackendDescriptor_t *out) {
  struct library_entry *entry = NULL;
  TRY(library_entry(library, &maker->kernels, &entry));
  if (entry->made == NULL) {
    TRY(new_kernels(library, graph, entry));
  }
  *out = *(cudnnBackendDescriptor_t *)entry->made;
  return OK;
}

/* ---- plans ---- */

static enum status make_plan(struct library *library, const struct graph_maker *maker,
                             int64_t images, const struct engine *engine, size_t workspace_bytes,
                             struct plan *out) {
  struct graph graph;
  graph_open(library, &graph);
  enum status status = maker->make(maker->problem, images, &graph);
  struct engine_room room = {NULL, workspace_bytes};
  if (status == OK && graph.any_shape) {
    status = kernels_of(library, maker, &graph, &room.kernels);
  }
  if (status == OK) {
    status = engine_plan(&graph, engine, &room, out);
  }
  graph_close(&graph);
  return status;
}

/* The plan for a number of images under its own entry; *out stays NULL where there is none. */
static enum status plan_for(struct library *library, const struct graph_maker *maker,
                            int64_t images, const struct engine *engine, size_t workspace_bytes,
                            struct plan **out) {
  struct library_key key = maker->key;
  struct library_entry *entry = NULL;
  key.images = images;
  TRY(library_entry(library, &key, &entry));
  if (entry->made == NULL && !entry->refused) {
    struct plan plan;
    enum status status = make_plan(library, maker, images, engine, workspace_bytes, &plan);
    if (status == OK) {
      status = library_keep(entry, &plan, sizeof plan, close_plan);
      if (status != OK) {
        (void)library->dnn.cudnnBackendDestroyDescriptor(plan.descriptor);
      }
    }
    entry->refused = status == UNAVAILABLE;
    if (status != OK && status != UNAVAILABLE) {
      return status;
    }
  }
  *out = entry->made;
  return OK;
}

/* Another engine is tried next: nothing of this one's may stay. */
static void forget_plans(struct library *library, const struct graph_maker *maker,
                         const int64_t *images, size_t count) {
  for (size_t i = 0; i < count; i++) {
    struct library_key key = maker->key;
    struct library_entry *entry = NULL;
    key.images = images[i];
    if (library_entry(library, &key, &entry) == OK) {
      library_entry_clear(library, entry);
    }
  }
}

/* Whether a proposed engine makes the plans that a decision needs. With STRICT one for a single
 * image too: what every number falls back on. They are kept: making them may have meant
 * compiling. */
static enum status try_engine(struct library *library, const struct graph_maker *maker,
                              int64_t images, const struct engine *engine, size_t workspace_bytes) {
  const int64_t wanted[] = {images, 1};
  size_t count = library->determinism == DETERMINISM_STRICT ? COUNT(wanted) : 1;
  for (size_t i = 0; i < count; i++) {
    struct plan *plan = NULL;
    TRY(plan_for(library, maker, wanted[i], engine, workspace_bytes, &plan));
    if (plan == NULL) {
      forget_plans(library, maker, wanted, count);
      return fail(UNAVAILABLE, "cuDNN's engine %lld has no plan for %lld images",
                  (long long)engine->number, (long long)wanted[i]);
    }
  }
  return OK;
}

/* The first proposal that serves. UNAVAILABLE with the last refusal. */
static enum status choose(struct library *library, const struct graph_maker *maker, int64_t images,
                          size_t workspace_bytes, struct engine *out) {
  struct graph graph;
  struct engines engines;
  graph_open(library, &graph);
  enum status status = maker->make(maker->problem, images, &graph);
  if (status == OK) {
    status = engines_ask(&graph, &engines);
  }
  graph_close(&graph);
  TRY(status);
  status = fail(UNAVAILABLE, "cuDNN proposes no engine");
  for (int64_t i = 0; status == UNAVAILABLE && i < engines.count; i++) {
    struct engine engine;
    status = engines_read(&engines, i, &engine);
    if (status == OK) {
      status = try_engine(library, maker, images, &engine, workspace_bytes);
    }
    if (status == OK) {
      *out = engine;
    }
  }
  engines_close(&engines);
  return status;
}

enum status plan_get(struct library *library, const struct graph_maker *maker, int64_t images,
                     size_t workspace_bytes, struct plan **out, bool *together) {
  bool strict = library->determinism == DETERMINISM_STRICT;
  struct library_key key = maker->key;
  struct library_entry *entry = NULL;
  key.images = strict ? 0 : -images; /* what is chosen; plans are under the number itself */
  TRY(library_entry(library, &key, &entry));
  if (entry->made == NULL && !entry->refused) {
    struct engine engine;
    enum status status = choose(library, maker, strict ? LIBRARY_REFERENCE_IMAGES : images,
                                workspace_bytes, &engine);
    entry->refused = status == UNAVAILABLE;
    TRY(status);
    TRY(library_keep(entry, &engine, sizeof engine, close_engine));
  }
  if (entry->refused) {
    return fail(UNAVAILABLE, "cuDNN does not serve this problem");
  }
  struct plan *plan = NULL;
  TRY(plan_for(library, maker, images, entry->made, workspace_bytes, &plan));
  *together = plan != NULL;
  if (plan == NULL) {
    TRY(plan_for(library, maker, 1, entry->made, workspace_bytes, &plan));
  }
  if (plan == NULL) {
    return fail(UNAVAILABLE, "cuDNN does not serve this problem in %zu bytes", workspace_bytes);
  }
  *out = plan;
  return OK;
}

static enum status fill_pack(const struct library *library, cudnnBackendDescriptor_t pack,
                             const struct plan_memory *memory, void *workspace) {
  const struct graph_attribute attributes[] = {
      {CUDNN_ATTR_VARIANT_PACK_UNIQUE_IDS, CUDNN_TYPE_INT64, memory->count, memory->id},
      {CUDNN_ATTR_VARIANT_PACK_DATA_POINTERS, CUDNN_TYPE_VOID_PTR, memory->count, memory->memory},
      {CUDNN_ATTR_VARIANT_PACK_WORKSPACE, CUDNN_TYPE_VOID_PTR, 1, &workspace},
  };
  return graph_set(library, pack, attributes, COUNT(attributes), "a plan's memory");
}

enum status plan_run(struct library *library, const struct plan *plan,
                     const struct plan_memory *memory, const struct library_place *place) {
  assert((int64_t)place->workspace.bytes >= plan->workspace_bytes);
  const struct cudnn *dnn = &library->dnn;
  cudnnBackendDescriptor_t pack = NULL;
  TRY(library_check_cudnn(library, dnn->cudnnSetStream(library->dnn_handle, place->stream),
                          "a stream"));
  TRY(library_check_cudnn(
      library, dnn->cudnnBackendCreateDescriptor(CUDNN_BACKEND_VARIANT_PACK_DESCRIPTOR, &pack),
      "a plan's memory"));
  enum status status = fill_pack(library, pack, memory, place->workspace.data);
  if (status == OK) {
    status = library_check_cudnn(
        library, dnn->cudnnBackendExecute(library->dnn_handle, plan->descriptor, pack),
        "running a plan");
  }
  (void)dnn->cudnnBackendDestroyDescriptor(pack);
  /* A plan that was made must run: another kernel in its place would have other bits. */
  return status == UNAVAILABLE ? BROKEN : status;
}
