/* library_attention.c - self attention by cuDNN's one operation for it (9.13 and later). */
#include <math.h>

#include "kernels/cuda/library_plan.h"

enum { ID_Q = 1, ID_K, ID_V, ID_Y, ID_SCALE };

/* Heads side by side in the columns of a token. */
struct columns_of {
  int64_t id, images, tokens, image, token; /* steps in values */
};

static enum status columns(struct graph *graph, const struct attention_problem *p,
                           const struct columns_of *c, cudnnBackendDescriptor_t *out) {
  const struct graph_tensor tensor = {
      .id = c->id,
      .type = p->element == ELEMENT_F16 ? CUDNN_DATA_HALF : CUDNN_DATA_BFLOAT16,
      .size = {c->images, p->heads, c->tokens, p->depth},
      .stride = {c->image, p->depth, c->token, 1},
      .alignment = library_alignment(2 * p->depth),
  };
  return graph_tensor(graph, &tensor, out);
}

static enum status make_graph(const void *problem, int64_t images, struct graph *graph) {
  const struct attention_problem *p = problem;
  const struct columns_of q = {ID_Q, images, p->tokens, p->q_image, p->q_token};
  const struct columns_of k = {ID_K, images, p->keys, p->k_image, p->k_token};
  const struct columns_of v = {ID_V, images, p->keys, p->v_image, p->v_token};
  const struct columns_of y = {ID_Y, images, p->tokens, p->y_image, p->y_token};
  const struct graph_tensor scale = {.id = ID_SCALE,
                                     .type = CUDNN_DATA_FLOAT,
                                     .size = {1, 1, 1, 1},
                                     .stride = {1, 1, 1, 1},
                                     .alignment = sizeof(float),
                                     .by_value = true};
  struct graph_attention attention = {0};
  TRY(columns(graph, p, &q, &attention.q));
  TRY(columns(graph, p, &k, &attention.k));
  TRY(columns(graph, p, &v, &attention.v));
  TRY(columns(graph, p, &y, &attention.y));
  TRY(graph_tensor(graph, &scale, &attention.scale));
  TRY(graph_attend(graph, &attention));
  return graph_finish(graph);
}

static struct library_key key_of(const struct attention_problem *p) {
  return (struct library_key){.value = {LIBRARY_ATTENTION, p->element, p->tokens, p->keys, p->heads,
                                        p->depth, p->causal, p->q_token, p->k_token, p->v_token,
                                        p->y_token, p->q_image, p->k_image, p->v_image,
                                        p->y_image}};
}

enum status library_attention_plan(struct library *library, const struct attention_problem *problem,
                                   int64_t images, size_t workspace_bytes, struct plan **out,
                                   bool *together) {
  /* The operation has no mask of this kind, and its sums are those of 16-bit types alone. */
  if (problem->causal || problem->element == ELEMENT_F32) {
    return fail(UNAVAILABLE, "cuDNN's attention is not asked for a causal one, nor in f32");
  }
  const struct graph_maker maker = {.make = make_graph, .problem = problem, .key = key_of(problem)};
  return plan_get(library, &maker, images, workspace_bytes, out, together);
}

enum status library_attention(struct library *library, const struct attention_problem *problem,
                              const struct attention_run *run, struct library_workspace workspace,
                              cudaStream_t stream) {
  const struct attention_problem *p = problem;
  struct plan *plan = NULL;
  bool together = false;
  TRY(library_attention_plan(library, p, run->images, workspace.bytes, &plan, &together));
  static const int64_t id[] = {ID_Q, ID_K, ID_V, ID_Y, ID_SCALE};
  const struct library_place place = {workspace, stream};
  const size_t bytes = element_bytes(p->element);
  float scale = 1 / sqrtf((float)p->depth);
  for (int64_t i = 0; i < (together ? 1 : run->images); i++) {
    void *const memory[] = {(char *)run->q + (size_t)(i * p->q_image) * bytes,
                            (char *)run->k + (size_t)(i * p->k_image) * bytes,
                            (char *)run->v + (size_t)(i * p->v_image) * bytes,
                            (char *)run->y + (size_t)(i * p->y_image) * bytes, &scale};
    const struct plan_memory given = {id, memory, sizeof id / sizeof id[0]};
    TRY(plan_run(library, plan, &given, &place));
  }
  return OK;
}
