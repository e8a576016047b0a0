/* blocks.c - the blocks of diffusers' unet_2d_blocks.py, transformer_2d.py and attention.py, in
 * NHWC. */
#include "worker/model/blocks.h"

static const struct conv_options same_size = {.stride = 1, .pad_before = 1, .pad_after = 1};

/* ---- ResnetBlock2D ---- */

enum status resnet_load(struct loader *loader, const char *name, struct resnet_shape shape,
                        struct resnet *out) {
  struct norm_shape norm1 = {shape.inputs, shape.groups, shape.epsilon};
  struct norm_shape norm2 = {shape.outputs, shape.groups, shape.epsilon};
  struct resnet resnet = {.inputs = shape.inputs, .outputs = shape.outputs};
  TRY(load_norm(loader, name_of("%s.norm1", name).text, norm1, &resnet.norm1));
  TRY(load_conv(loader, name_of("%s.conv1", name).text, shape.outputs, shape.inputs,
                &resnet.conv1));
  TRY(load_norm(loader, name_of("%s.norm2", name).text, norm2, &resnet.norm2));
  TRY(load_conv(loader, name_of("%s.conv2", name).text, shape.outputs, shape.outputs,
                &resnet.conv2));
  if (shape.time_width > 0) {
    struct matrix_shape time = {shape.outputs, shape.time_width, true};
    TRY(load_matrix(loader, name_of("%s.time_emb_proj", name).text, time, &resnet.time));
  }
  if (shape.inputs != shape.outputs) {
    struct matrix_shape shortcut = {shape.outputs, shape.inputs, true};
    TRY(load_matrix(loader, name_of("%s.conv_shortcut", name).text, shortcut, &resnet.shortcut));
  }
  *out = resnet;
  return OK;
}

/* A picture as rows of channels, for products over channels alone. */
static struct tensor as_tokens(const struct tensor *x) {
  return tensor_view(x, TENSOR_SHAPE(x->shape[0], x->shape[1] * x->shape[2], x->shape[3]));
}

/* inner = conv1(silu(norm1(x))) + time. The normed copy of x, the widest tensor here, is given back
 * at once. */
static enum status resnet_first(const struct pass *pass, const struct resnet *resnet,
                                const struct tensor *x, const struct tensor *time_silu,
                                const struct tensor *inner) {
  struct conv_options options = same_size;
  struct tensor time, normed;
  if (resnet->time != NULL) {
    TRY(pass_take(pass, TENSOR_SHAPE(x->shape[0], resnet->outputs), &time));
    TRY(pass_matmul(pass, time_silu, resnet->time, NULL, &time));
    options.channel_add = &time;
  }
  TRY(pass_take(pass, x->rank, x->shape, &normed));
  TRY(pass_group_norm(pass, x, &resnet->norm1, true, &normed));
  return pass_conv(pass, &normed, resnet->conv1, &options, inner);
}

static enum status resnet_second(const struct pass *pass, const struct resnet *resnet,
                                 const struct tensor *x, const struct tensor *inner,
                                 const struct tensor *y) {
  struct conv_options options = same_size;
  options.residual = x;
  if (resnet->shortcut != NULL) {
    struct tensor from = as_tokens(x), to = as_tokens(y);
    TRY(pass_matmul(pass, &from, resnet->shortcut, NULL, &to));
    options.residual = y;
  }
  TRY(pass_group_norm(pass, inner, &resnet->norm2, true, inner));
  return pass_conv(pass, inner, resnet->conv2, &options, y);
}

enum status resnet_run(const struct pass *pass, const struct resnet *resnet, const struct tensor *x,
                       const struct tensor *time_silu, const struct tensor *y) {
  struct arena_mark mark = arena_mark(pass->arena);
  struct tensor inner;
  TRY(pass_take(pass, y->rank, y->shape, &inner));
  struct arena_mark inside = arena_mark(pass->arena);
  TRY(resnet_first(pass, resnet, x, time_silu, &inner));
  arena_release(pass->arena, inside);
  TRY(resnet_second(pass, resnet, x, &inner, y));
  arena_release(pass->arena, mark);
  return OK;
}

/* ---- Transformer2DModel ---- */

static enum status load_attentions(struct loader *loader, const char *name,
                                   const struct transformer_shape *shape,
                                   struct transformer_layer *out) {
  static const char *const self[] = {"to_q", "to_k", "to_v", NULL};
  static const char *const cross[] = {"to_k", "to_v", NULL};
  int64_t c = shape->channels;
  struct module_name attn1 = name_of("%s.attn1", name), attn2 = name_of("%s.attn2", name);
  struct matrix_shape square = {c, c, false}, with_bias = {c, c, true},
                      from_text = {c, shape->cross_width, false};
  TRY(load_joined(loader, attn1.text, self, square, &out->qkv));
  TRY(load_matrix(loader, name_of("%s.to_out.0", attn1.text).text, with_bias, &out->self_out));
  TRY(load_matrix(loader, name_of("%s.to_q", attn2.text).text, square, &out->q));
  TRY(load_joined(loader, attn2.text, cross, from_text, &out->keys_values));
  return load_matrix(loader, name_of("%s.to_out.0", attn2.text).text, with_bias, &out->cross_out);
}

static enum status load_layer(struct loader *loader, const char *name,
                              const struct transformer_shape *shape,
                              struct transformer_layer *out) {
  int64_t c = shape->channels;
  struct norm_shape norm = {.channels = c, .epsilon = 1e-5f};
  struct matrix_shape feed_in = {8 * c, c, true}, feed_out = {c, 4 * c, true};
  TRY(load_norm(loader, name_of("%s.norm1", name).text, norm, &out->norm1));
  TRY(load_norm(loader, name_of("%s.norm2", name).text, norm, &out->norm2));
  TRY(load_norm(loader, name_of("%s.norm3", name).text, norm, &out->norm3));
  TRY(load_attentions(loader, name, shape, out));
  TRY(load_matrix(loader, name_of("%s.ff.net.0.proj", name).text, feed_in, &out->feed_in));
  return load_matrix(loader, name_of("%s.ff.net.2", name).text, feed_out, &out->feed_out);
}

enum status transformer_load(struct loader *loader, const char *name,
                             struct transformer_shape shape, int64_t *context_column,
                             struct transformer *out) {
  int64_t c = shape.channels, column = *context_column;
  struct norm_shape norm = {c, shape.groups, 1e-6f};
  struct matrix_shape square = {c, c, true};
  struct transformer transformer = {.channels = c, .heads = shape.heads, .layers = shape.layers};
  TRY(load_norm(loader, name_of("%s.norm", name).text, norm, &transformer.norm));
  TRY(load_matrix(loader, name_of("%s.proj_in", name).text, square, &transformer.proj_in));
  TRY(load_matrix(loader, name_of("%s.proj_out", name).text, square, &transformer.proj_out));
  transformer.layer = arena_take(loader->host, (size_t)shape.layers * sizeof *transformer.layer);
  if (transformer.layer == NULL) {
    return EXHAUSTED;
  }
  for (int i = 0; i < shape.layers; i++) {
    transformer.layer[i].context_column = column;
    column += 2 * c;
    TRY(load_layer(loader, name_of("%s.transformer_blocks.%d", name, i).text, &shape,
                   &transformer.layer[i]));
  }
  *context_column = column;
  *out = transformer;
  return OK;
}

/* Keys and values of one layer within a conditioning, as one row: each layer's [L, 2C] lies whole,
 * one layer after another. */
static struct tensor layer_context(const struct conditioning *conditioning, int64_t column,
                                   int64_t channels) {
  int64_t tokens = conditioning->embedding.shape[0];
  struct tensor context = {.element = conditioning->keys_values.element,
                           .rank = 3,
                           .shape = {1, tokens, 2 * channels, 1}};
  context.data = (char *)conditioning->keys_values.data +
                 (size_t)(tokens * column) * element_bytes(context.element);
  return context;
}

enum status transformer_condition(const struct pass *pass, const struct transformer *transformer,
                                  const struct conditioning *conditioning) {
  const struct tensor *embedding = &conditioning->embedding;
  struct tensor tokens =
      tensor_view(embedding, TENSOR_SHAPE(1, embedding->shape[0], embedding->shape[1]));
  for (int i = 0; i < transformer->layers; i++) {
    const struct transformer_layer *layer = &transformer->layer[i];
    struct tensor context =
        layer_context(conditioning, layer->context_column, transformer->channels);
    TRY(pass_matmul(pass, &tokens, layer->keys_values, NULL, &context));
  }
  return OK;
}

/* tokens += out(attention(norm(tokens))) with itself. normed is scratch like tokens. */
static enum status self_attention(const struct pass *pass, const struct transformer *transformer,
                                  const struct transformer_layer *layer,
                                  const struct tensor *tokens, const struct tensor *normed) {
  struct arena_mark mark = arena_mark(pass->arena);
  int64_t c = transformer->channels;
  struct tensor qkv;
  TRY(pass_take(pass, TENSOR_SHAPE(tokens->shape[0], tokens->shape[1], 3 * c), &qkv));
  TRY(pass_layer_norm(pass, tokens, &layer->norm1, normed));
  TRY(pass_matmul(pass, normed, layer->qkv, NULL, &qkv));
  struct attention attention = {{&qkv, 0}, {&qkv, c}, {&qkv, 2 * c}, .heads = transformer->heads};
  TRY(pass_attention(pass, &attention, normed));
  arena_release(pass->arena, mark);
  return pass_matmul(pass, normed, layer->self_out, &(struct matmul_options){.residual = tokens},
                     tokens);
}

/* The same with the prompt's tokens, whose keys and values were computed once for all steps. */
static enum status cross_attention(const struct pass *pass, const struct transformer *transformer,
                                   const struct transformer_layer *layer,
                                   const struct batch_row *rows, const struct tensor *tokens,
                                   const struct tensor *normed) {
  struct arena_mark mark = arena_mark(pass->arena);
  struct tensor q;
  TRY(pass_take(pass, tokens->rank, tokens->shape, &q));
  TRY(pass_layer_norm(pass, tokens, &layer->norm2, normed));
  TRY(pass_matmul(pass, normed, layer->q, NULL, &q));
  struct attention attention = {
      .q = {&q, 0}, .rows = rows, .column = layer->context_column, .heads = transformer->heads};
  TRY(pass_attention(pass, &attention, normed));
  arena_release(pass->arena, mark);
  return pass_matmul(pass, normed, layer->cross_out, &(struct matmul_options){.residual = tokens},
                     tokens);
}

static enum status feed_forward(const struct pass *pass, const struct transformer_layer *layer,
                                const struct tensor *tokens, const struct tensor *normed) {
  struct arena_mark mark = arena_mark(pass->arena);
  int64_t rows = tokens->shape[0], length = tokens->shape[1], c = tokens->shape[2];
  struct tensor gated, inner;
  TRY(pass_take(pass, TENSOR_SHAPE(rows, length, 4 * c), &inner));
  TRY(pass_take(pass, TENSOR_SHAPE(rows, length, 8 * c), &gated));
  TRY(pass_layer_norm(pass, tokens, &layer->norm3, normed));
  TRY(pass_matmul(pass, normed, layer->feed_in, NULL, &gated));
  TRY(pass_geglu(pass, &gated, &inner));
  TRY(pass_matmul(pass, &inner, layer->feed_out, &(struct matmul_options){.residual = tokens},
                  tokens));
  arena_release(pass->arena, mark);
  return OK;
}

enum status transformer_run(const struct pass *pass, const struct transformer *transformer,
                            const struct batch_row *rows, const struct tensor *x) {
  struct arena_mark mark = arena_mark(pass->arena);
  struct tensor picture = as_tokens(x), tokens, normed;
  TRY(pass_take(pass, picture.rank, picture.shape, &tokens));
  TRY(pass_take(pass, picture.rank, picture.shape, &normed));
  struct tensor normed_picture = tensor_view(&normed, x->rank, x->shape);
  TRY(pass_group_norm(pass, x, &transformer->norm, false, &normed_picture));
  TRY(pass_matmul(pass, &normed, transformer->proj_in, NULL, &tokens));
  for (int i = 0; i < transformer->layers; i++) {
    const struct transformer_layer *layer = &transformer->layer[i];
    TRY(self_attention(pass, transformer, layer, &tokens, &normed));
    TRY(cross_attention(pass, transformer, layer, rows, &tokens, &normed));
    TRY(feed_forward(pass, layer, &tokens, &normed));
  }
  TRY(pass_matmul(pass, &tokens, transformer->proj_out,
                  &(struct matmul_options){.residual = &picture}, &picture));
  arena_release(pass->arena, mark);
  return OK;
}
