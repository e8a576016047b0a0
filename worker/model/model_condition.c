/* model_condition.c - a prompt to what the U-Net needs of it: text encoders chunk by chunk, what is
 * added to the time embedding, keys and values. */
#include <assert.h>
#include <math.h>
#include <string.h>

#include "worker/model/adaptation.h"
#include "worker/model/embeddings.h"
#include "worker/model/family_configs.h"
#include "worker/model/model_inside.h"
#include "worker/model/prompt_chunks.h"

#define HEAP_BYTES_MAX ((size_t)64 * 1024 * 1024)
#define GUIDANCE_WIDTH_MAX WIDTH_MAX

/* A prompt read by all text encoders, of as many chunks each. */
struct reading {
  struct prompt_chunks text[TEXT_ENCODERS_MAX];
  int chunks;
  bool zeros; /* the whole embedding is */
};

static const struct family_row *row_of(const struct model *model) { return model->family.row; }

static struct prompt_reader reader_of(const struct model *model, int encoder) {
  const struct clip_facts *facts = &model->family.clip[encoder];
  return (struct prompt_reader){model->tokenizer[encoder], facts->vocabulary, facts->positions};
}

/* ---- reading ---- */

/* Layers that the hidden state has gone through; condition NULL: nobody skips any. */
static int layers_of(const struct model *model, int encoder, const struct condition *condition) {
  int skip = condition == NULL || condition->negative ? 0 : condition->clip_skip;
  return model->family.clip[encoder].layers - row_of(model)->layers_back - skip;
}

static enum status check(const struct model *model, const struct condition *condition) {
  const struct family_row *row = row_of(model);
  if (condition->size_count != row->sizes) {
    return fail_field(BAD_INPUT, "sizes", "a model of family %s is told %d numbers, not %d",
                      row->name, row->sizes, condition->size_count);
  }
  for (int i = 0; i < row->text_encoders; i++) {
    if (condition->clip_skip < 0 || layers_of(model, i, condition) < 0) {
      return fail_field(BAD_INPUT, "clip_skip", "clip_skip %d: 0..%d", condition->clip_skip,
                        model->family.clip[i].layers - row->layers_back);
    }
  }
  return OK;
}

static enum status read_prompt(const struct model *model, struct arena *heap,
                               const struct condition *condition, struct reading *out) {
  struct reading reading = {.zeros = condition->negative && condition->silent &&
                                     model->family.zeros_when_silent};
  TRY(check(model, condition));
  for (int i = 0; i < row_of(model)->text_encoders; i++) {
    struct prompt_reader reader = reader_of(model, i);
    TRY(prompt_chunks_make(heap, &reader, condition, &reading.text[i]));
    int chunks = reading.text[i].chunks;
    reading.chunks = chunks > reading.chunks ? chunks : reading.chunks;
  }
  for (int i = 0; i < row_of(model)->text_encoders; i++) {
    struct prompt_reader reader = reader_of(model, i);
    TRY(prompt_chunks_fill(&reader, reading.chunks, &reading.text[i]));
  }
  *out = reading;
  return OK;
}

enum status model_condition_chunks(const struct model *model, const struct condition *condition,
                                   int *out) {
  struct arena *heap = NULL;
  struct reading reading;
  TRY(arena_open(NULL, HEAP_BYTES_MAX, &heap));
  enum status status = read_prompt(model, heap, condition, &reading);
  arena_close(&heap);
  TRY(status);
  *out = reading.chunks;
  return OK;
}

/* ---- text ---- */

/* What encoders are asked; condition and reading are not looked at in a dry pass. */
struct encoding {
  const struct model *model;
  const struct condition *condition;
  const struct reading *reading;
};

static enum status put_ids(const struct pass *pass, const struct prompt_chunks *text, int chunk,
                           int64_t positions, struct tensor *out) {
  struct tensor ids;
  TRY(pass_take_as(pass, ELEMENT_I32, TENSOR_SHAPE(1, positions), &ids));
  if (text != NULL) {
    TRY(device_put(pass->device, text->id + chunk * positions, tensor_bytes(&ids), &ids));
  }
  *out = ids;
  return OK;
}

static enum status weigh(const struct pass *pass, const struct prompt_chunks *text, int chunk,
                         const struct tensor *hidden) {
  int64_t positions = hidden->shape[0];
  struct tensor weights;
  TRY(pass_take_as(pass, ELEMENT_F32, TENSOR_SHAPE(positions), &weights));
  if (text == NULL || !text->weighted[chunk]) {
    return OK;
  }
  TRY(device_put(pass->device, text->weight + chunk * positions, tensor_bytes(&weights), &weights));
  return op_weigh(pass->device, &weights, hidden);
}

/* Vectors of the words of textual inversion, or NULL. */
static const struct tensor *extra_of(const struct model *model, int encoder,
                                     const struct condition *condition) {
  return condition == NULL || condition->embeddings == NULL
             ? NULL
             : embeddings_table(condition->embeddings, row_of(model)->place[encoder].network);
}

/* One chunk through one encoder; pooled of rank 0: not wanted. */
static enum status encode_chunk(const struct pass *pass, const struct encoding *encoding,
                                const int at[2], const struct tensor *hidden,
                                const struct tensor *pooled) {
  int encoder = at[0], chunk = at[1];
  const struct model *model = encoding->model;
  const struct clip_facts *facts = &model->family.clip[encoder];
  const struct prompt_chunks *text = pass->dry ? NULL : &encoding->reading->text[encoder];
  struct prompt_reader reader = reader_of(model, encoder);
  struct arena_mark mark = arena_mark(pass->arena);
  struct tensor ids;
  TRY(put_ids(pass, text, chunk, facts->positions, &ids));
  struct clip_call call = {
      .ids = &ids,
      .extra = extra_of(model, encoder, encoding->condition),
      .layers = layers_of(model, encoder, encoding->condition),
      .normed = row_of(model)->normed,
      .hidden = *hidden,
      .end = pass->dry ? 0 : prompt_chunks_end(text, &reader, chunk, facts->end),
      .pooled = *pooled};
  struct pass adapted = *pass;
  adaptation_enter(encoding->condition == NULL ? NULL : encoding->condition->adaptation,
                   row_of(model)->place[encoder].network, &adapted);
  TRY(clip_run(&adapted, &model->clip[encoder], &call));
  TRY(weigh(pass, text, chunk, hidden));
  arena_release(pass->arena, mark);
  return OK;
}

/* One chunk through all encoders: their hidden states side by side. */
static enum status encode_side_by_side(const struct pass *pass, const struct encoding *encoding,
                                       int chunk, const struct tensor *out,
                                       const struct tensor *pooled) {
  const struct family *family = &encoding->model->family;
  static const struct tensor unwanted = {.rank = 0};
  if (family->row->text_encoders == 1) {
    return encode_chunk(pass, encoding, (const int[]){0, chunk}, out, pooled);
  }
  struct arena_mark mark = arena_mark(pass->arena);
  struct tensor part[TEXT_ENCODERS_MAX];
  for (int i = 0; i < TEXT_ENCODERS_MAX; i++) {
    bool last = i == TEXT_ENCODERS_MAX - 1;
    TRY(pass_take(pass, TENSOR_SHAPE(out->shape[0], family->clip[i].width), &part[i]));
    TRY(encode_chunk(pass, encoding, (const int[]){i, chunk}, &part[i], last ? pooled : &unwanted));
  }
  TRY(pass_concat(pass, &part[0], &part[1], out));
  arena_release(pass->arena, mark);
  return OK;
}

/* The pooled text is that of the first chunk. */
static enum status encode_text(const struct pass *pass, const struct encoding *encoding,
                               const struct tensor *embedding, const struct tensor *pooled) {
  int64_t positions = encoding->model->family.clip[0].positions;
  static const struct tensor unwanted = {.rank = 0};
  for (int64_t chunk = 0; chunk < embedding->shape[0] / positions; chunk++) {
    struct tensor out = tensor_rows(embedding, chunk * positions, positions);
    TRY(encode_side_by_side(pass, encoding, (int)chunk, &out, chunk == 0 ? pooled : &unwanted));
  }
  return OK;
}

/* ---- what is added to the time embedding ---- */

/* sin and cos of 1000 (g - 1) times the frequencies, the guidance as the distillation was told it
 * (Luo et al. 2023; diffusers' get_guidance_scale_embedding). */
static enum status put_guidance(const struct pass *pass, const struct condition *condition,
                                int width, struct tensor *out) {
  float wave[GUIDANCE_WIDTH_MAX];
  uint32_t held[GUIDANCE_WIDTH_MAX];
  struct tensor guidance;
  TRY(pass_take(pass, TENSOR_SHAPE(1, width), &guidance));
  if (condition != NULL) {
    int half = width / 2;
    double w = 1000.0 * ((double)condition->guidance - 1);
    memset(wave, 0, sizeof wave);
    for (int i = 0; i < half; i++) {
      double angle = w * exp(-log(10000.0) / (half - 1) * i);
      wave[i] = (float)sin(angle);
      wave[half + i] = (float)cos(angle);
    }
    elements_from_f32(pass->element, wave, width, held);
    TRY(device_put(pass->device, held, tensor_bytes(&guidance), &guidance));
  }
  *out = guidance;
  return OK;
}

/* told [1, pooled + sizes * width] = pooled beside each number in waves. */
static enum status tell(const struct pass *pass, const struct encoding *encoding,
                        const struct tensor *pooled, const struct tensor *told) {
  int64_t sizes = row_of(encoding->model)->sizes;
  int64_t width = encoding->model->family.unet.addition.width;
  struct arena_mark mark = arena_mark(pass->arena);
  struct tensor rows, waves;
  TRY(pass_take_as(pass, ELEMENT_U8, TENSOR_SHAPE(sizes * (int64_t)sizeof(struct batch_row)),
                   &rows));
  TRY(pass_take(pass, TENSOR_SHAPE(sizes, width), &waves));
  if (encoding->condition != NULL) {
    struct batch_row row[CONDITION_SIZES_MAX];
    memset(row, 0, sizeof row);
    for (int64_t i = 0; i < sizes; i++) {
      row[i].timestep = encoding->condition->sizes[i];
    }
    TRY(device_put(pass->device, row, tensor_bytes(&rows), &rows));
    TRY(op_timestep_embedding(pass->device, rows.data, &waves));
  }
  struct tensor flat = tensor_view(&waves, TENSOR_SHAPE(1, sizes * width));
  TRY(pass_concat(pass, pooled, &flat, told));
  arena_release(pass->arena, mark);
  return OK;
}

static enum status add(const struct pass *pass, const struct encoding *encoding,
                       const struct tensor *pooled, const struct conditioning *conditioning) {
  const struct unet_facts *facts = &encoding->model->family.unet;
  struct tensor guidance = {0};
  if (facts->guidance_width > 0) {
    TRY(put_guidance(pass, encoding->condition, facts->guidance_width, &guidance));
  }
  if (facts->addition.sizes > 0) {
    TRY(tell(pass, encoding, pooled, &conditioning->told));
  }
  if (conditioning->added.rank == 0) {
    return OK;
  }
  return unet_half_added(pass, &encoding->model->unet.half, &guidance, &conditioning->told,
                         &conditioning->added);
}

/* ---- the whole ---- */

static enum status put_zeros(const struct pass *pass, const struct tensor *out) {
  struct arena *heap = NULL;
  TRY(arena_open(NULL, HEAP_BYTES_MAX, &heap));
  void *zeros = arena_take_zeroed(heap, tensor_bytes(out));
  enum status status =
      zeros != NULL ? device_put(pass->device, zeros, tensor_bytes(out), out) : EXHAUSTED;
  arena_close(&heap);
  return status;
}

/* From the encoders to what is added; keys and values come after. */
static enum status encode(const struct pass *pass, const struct encoding *encoding,
                          const struct conditioning *conditioning) {
  const struct model *model = encoding->model;
  int projection = model->family.clip[row_of(model)->text_encoders - 1].projection;
  bool told = model->family.unet.addition.sizes > 0;
  struct tensor pooled = {.rank = 0};
  if (told) {
    TRY(pass_take(pass, TENSOR_SHAPE(1, projection), &pooled));
  }
  if (encoding->reading != NULL && encoding->reading->zeros) {
    TRY(put_zeros(pass, &conditioning->embedding));
    TRY(told ? put_zeros(pass, &pooled) : OK);
  } else {
    TRY(encode_text(pass, encoding, &conditioning->embedding, &pooled));
  }
  return add(pass, encoding, &pooled, conditioning);
}

/* Shapes of a conditioning, without memory. */
static struct conditioning shape_of(const struct model *model, int chunks) {
  const struct unet_facts *facts = &model->family.unet;
  enum element element = device_element(model->device);
  int64_t tokens = chunks * (int64_t)model->family.clip[0].positions;
  int64_t added = unet_half_added_width(&model->unet.half);
  struct conditioning shape = {
      .embedding = {NULL, element, 2, {tokens, facts->cross_width, 1, 1}},
      .keys_values = {NULL, element, 1, {tokens * model->unet.half.context_columns, 1, 1, 1}}};
  if (facts->addition.sizes > 0) {
    shape.told = (struct tensor){NULL, element, 2, {1, addition_inputs(&facts->addition), 1, 1}};
  }
  if (added > 0) {
    shape.added = (struct tensor){NULL, element, 2, {1, added, 1, 1}};
  }
  return shape;
}

static enum status take(struct arena *keep, struct tensor *tensor) {
  return tensor->rank == 0
             ? OK
             : tensor_take(keep, tensor->element, tensor->rank, tensor->shape, tensor);
}

static enum status take_conditioning(const struct model *model, struct arena *keep, int chunks,
                                     struct conditioning *out) {
  struct conditioning taken = shape_of(model, chunks);
  TRY(take(keep, &taken.embedding));
  TRY(take(keep, &taken.keys_values));
  TRY(take(keep, &taken.told));
  TRY(take(keep, &taken.added));
  *out = taken;
  return OK;
}

static enum status queue(const struct encoding *encoding, struct arena *keep, struct arena *turn,
                         struct conditioning *out) {
  const struct model *model = encoding->model;
  struct arena_mark mark = arena_mark(turn);
  struct pass pass = model_pass(model, turn, PRECISION_FAST);
  struct conditioning taken;
  adaptation_enter(encoding->condition->adaptation, NETWORK_UNET, &pass);
  TRY(take_conditioning(model, keep, encoding->reading->chunks, &taken));
  enum status status = encode(&pass, encoding, &taken);
  status = status == OK ? unet_condition(&pass, &model->unet, &taken) : status;
  arena_release(turn, mark);
  TRY(status);
  *out = taken;
  return OK;
}

enum status model_condition(struct model *model, struct arena *keep, struct arena *turn,
                            const struct condition *condition, struct conditioning *out,
                            struct condition_report *report) {
  struct arena *heap = NULL;
  struct reading reading;
  const struct encoding encoding = {model, condition, &reading};
  struct arena_mark kept = arena_mark(keep);
  TRY(arena_open(NULL, HEAP_BYTES_MAX, &heap));
  enum status status = read_prompt(model, heap, condition, &reading);
  status = status == OK ? queue(&encoding, keep, turn, out) : status;
  if (status == OK && report != NULL) {
    const struct prompt_chunks *text = &reading.text[0];
    *report = (struct condition_report){text->tokens, text->cut, reading.chunks};
  }
  arena_close(&heap);
  if (status != OK) {
    arena_release(keep, kept);
  }
  return status;
}

/* ---- memory, known beforehand ---- */

/* An arena rounds every piece up to its alignment. */
static size_t bytes_taken(const struct tensor *tensor) {
  return tensor->rank == 0 ? 0 : (tensor_bytes(tensor) + 63) / 64 * 64;
}

size_t model_condition_bytes(const struct model *model, int chunks) {
  struct conditioning shape = shape_of(model, chunks);
  return bytes_taken(&shape.embedding) + bytes_taken(&shape.keys_values) +
         bytes_taken(&shape.told) + bytes_taken(&shape.added);
}

/* Chunks come one after another, so that one of them says it all. */
static enum status condition_dry(const struct pass *pass, const struct model *model,
                                 const struct tensor *unused) {
  (void)unused;
  const struct encoding encoding = {.model = model};
  struct conditioning shape = shape_of(model, 1);
  return encode(pass, &encoding, &shape);
}

size_t model_condition_scratch_bytes(const struct model *model) {
  return model_dry_bytes(model, NULL, condition_dry);
}

void model_context(const struct conditioning *conditioning, struct batch_row *row) {
  row->context = conditioning->keys_values.data;
  row->added = conditioning->added.data;
  row->tokens = (int32_t)conditioning->embedding.shape[0];
}
