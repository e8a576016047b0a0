/* clip.c - pre-norm transformer layers, each token seeing itself and those before it. */
#include "worker/model/clip.h"

#include <assert.h>

/* transformers before 5.6 puts a text encoder's tensors below "text_model.", later ones do not. */
static const char *prefix_of(const struct loader *loader) {
  return weights_has(loader->file, "text_model.final_layer_norm.weight") ? "text_model." : "";
}

static enum status load_layer(struct loader *loader, const char *name,
                              const struct clip_facts *facts, struct clip_layer *out) {
  static const char *const self[] = {"q_proj", "k_proj", "v_proj", NULL};
  struct norm_shape norm = {.channels = facts->width, .epsilon = facts->epsilon};
  struct matrix_shape square = {facts->width, facts->width, true};
  struct matrix_shape widen = {facts->inner, facts->width, true},
                      narrow = {facts->width, facts->inner, true};
  TRY(load_norm(loader, name_of("%s.layer_norm1", name).text, norm, &out->norm1));
  TRY(load_norm(loader, name_of("%s.layer_norm2", name).text, norm, &out->norm2));
  TRY(load_joined(loader, name_of("%s.self_attn", name).text, self, square, &out->qkv));
  TRY(load_matrix(loader, name_of("%s.self_attn.out_proj", name).text, square, &out->out));
  TRY(load_matrix(loader, name_of("%s.mlp.fc1", name).text, widen, &out->inner1));
  return load_matrix(loader, name_of("%s.mlp.fc2", name).text, narrow, &out->inner2);
}

/* The larger table last: see the order of networks in model.c. */
static enum status load_embeddings(struct loader *loader, const char *prefix, struct clip *out) {
  const struct clip_facts *facts = out->facts;
  TRY(load_table(loader, name_of("%sembeddings.position_embedding", prefix).text, facts->positions,
                 facts->width, &out->positions));
  /* 0, 1, 2, ... as a tensor: older files have it */
  weights_skip(loader->file, name_of("%sembeddings.position_ids", prefix).text);
  return load_table(loader, name_of("%sembeddings.token_embedding", prefix).text, facts->vocabulary,
                    facts->width, &out->tokens);
}

enum status clip_load(struct loader *loader, const struct clip_facts *facts, struct clip *clip) {
  const char *prefix = prefix_of(loader);
  *clip = (struct clip){.facts = facts};
  clip->layer = arena_take(loader->host, (size_t)facts->layers * sizeof *clip->layer);
  if (clip->layer == NULL) {
    return EXHAUSTED;
  }
  for (int i = 0; i < facts->layers; i++) {
    struct module_name name = name_of("%sencoder.layers.%d", prefix, i);
    TRY(load_layer(loader, name.text, facts, &clip->layer[i]));
  }
  struct norm_shape norm = {.channels = facts->width, .epsilon = facts->epsilon};
  TRY(load_norm(loader, name_of("%sfinal_layer_norm", prefix).text, norm, &clip->norm_out));
  if (facts->projection > 0) {
    TRY(load_matrix(loader, "text_projection",
                    (struct matrix_shape){facts->projection, facts->width, false},
                    &clip->projection));
  }
  return load_embeddings(loader, prefix, clip);
}

/* y = x + out(attention(norm1(x))); y may be x. */
static enum status attend(const struct pass *pass, const struct clip *clip, int layer,
                          const struct tensor *x, const struct tensor *y) {
  const struct clip_layer *at = &clip->layer[layer];
  struct arena_mark mark = arena_mark(pass->arena);
  int64_t width = clip->facts->width;
  struct tensor normed, qkv;
  TRY(pass_take(pass, x->rank, x->shape, &normed));
  TRY(pass_take(pass, TENSOR_SHAPE(x->shape[0], x->shape[1], 3 * width), &qkv));
  TRY(pass_layer_norm(pass, x, &at->norm1, &normed));
  TRY(pass_matmul(pass, &normed, at->qkv, NULL, &qkv));
  struct attention attention = {
      {&qkv, 0}, {&qkv, width}, {&qkv, 2 * width}, .heads = clip->facts->heads, .causal = true};
  TRY(pass_attention(pass, &attention, &normed));
  TRY(pass_matmul(pass, &normed, at->out, &(struct matmul_options){.residual = x}, y));
  arena_release(pass->arena, mark);
  return OK;
}

/* x += inner2(activation(inner1(norm2(x)))) */
static enum status feed_forward(const struct pass *pass, const struct clip *clip, int layer,
                                const struct tensor *x) {
  const struct clip_layer *at = &clip->layer[layer];
  struct arena_mark mark = arena_mark(pass->arena);
  struct matmul_options activated = {.activation = clip->facts->activation};
  struct tensor normed, inner;
  TRY(pass_take(pass, x->rank, x->shape, &normed));
  TRY(pass_take(pass, TENSOR_SHAPE(x->shape[0], x->shape[1], clip->facts->inner), &inner));
  TRY(pass_layer_norm(pass, x, &at->norm2, &normed));
  TRY(pass_matmul(pass, &normed, at->inner1, &activated, &inner));
  TRY(pass_matmul(pass, &inner, at->inner2, &(struct matmul_options){.residual = x}, x));
  arena_release(pass->arena, mark);
  return OK;
}

/* Layers [first, end) from x to y, which may be x. */
static enum status layers_run(const struct pass *pass, const struct clip *clip, const int range[2],
                              const struct tensor *x, const struct tensor *y) {
  for (int i = range[0]; i < range[1]; i++) {
    TRY(attend(pass, clip, i, i == range[0] ? x : y, y));
    TRY(feed_forward(pass, clip, i, y));
  }
  return OK;
}

/* pooled = projection(norm(last[end])). */
static enum status pool(const struct pass *pass, const struct clip *clip, const struct tensor *last,
                        const struct clip_call *call) {
  struct tensor tokens = tensor_view(last, TENSOR_SHAPE(last->shape[1], last->shape[2])), normed;
  struct tensor end = tensor_rows(&tokens, call->end, 1);
  TRY(pass_take(pass, end.rank, end.shape, &normed));
  TRY(pass_layer_norm(pass, &end, &clip->norm_out, &normed));
  return pass_matmul(pass, &normed, clip->projection, NULL, &call->pooled);
}

/* The layers behind those of the hidden state are run for the pooled text alone, in another
 * place. */
static enum status run_and_pool(const struct pass *pass, const struct clip *clip,
                                const struct tensor *hidden, const struct clip_call *call) {
  struct arena_mark mark = arena_mark(pass->arena);
  const int rest[2] = {call->layers, clip->facts->layers};
  struct tensor last = *hidden;
  if (rest[0] < rest[1]) {
    TRY(pass_take(pass, hidden->rank, hidden->shape, &last));
    TRY(layers_run(pass, clip, rest, hidden, &last));
  }
  TRY(pool(pass, clip, &last, call));
  arena_release(pass->arena, mark);
  return OK;
}

enum status clip_run(const struct pass *pass, const struct clip *clip,
                     const struct clip_call *call) {
  const struct clip_facts *facts = clip->facts;
  const int layers[2] = {0, call->layers};
  assert(call->layers >= 0 && call->layers <= facts->layers);
  struct tensor x = tensor_view(&call->hidden, TENSOR_SHAPE(1, facts->positions, facts->width));
  if (!pass->dry) {
    const struct words words = {&clip->tokens, call->extra, &clip->positions};
    TRY(op_embed(pass->device, &words, call->ids, &x));
  }
  TRY(layers_run(pass, clip, layers, &x, &x));
  if (call->pooled.rank > 0) {
    TRY(run_and_pool(pass, clip, &x, call));
  }
  return call->normed ? pass_layer_norm(pass, &x, &clip->norm_out, &x) : OK;
}
