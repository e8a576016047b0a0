/* model_condition.c - a prompt to what the U-Net needs of it. */
#include <assert.h>

#include "worker/model/adaptation.h"
#include "worker/model/model_inside.h"

static enum status take_conditioning(const struct model *model, struct arena *keep,
                                     struct conditioning *out) {
  const struct clip_facts *facts = &model->family.clip[0];
  enum element element = device_element(model->device);
  out->added = (struct tensor){0};
  TRY(tensor_take(keep, element, TENSOR_SHAPE(facts->positions, facts->width), &out->embedding));
  return tensor_take(keep, element,
                     TENSOR_SHAPE(facts->positions * model->unet.half.context_columns),
                     &out->keys_values);
}

static enum status put_ids(const struct model *model, struct arena *turn, const char *prompt,
                           struct tensor *out) {
  int32_t ids[TOKENS_PER_CHUNK];
  assert(model->family.clip[0].positions <= TOKENS_PER_CHUNK);
  TRY(tokenizer_encode(model->tokenizer[0], prompt, ids));
  TRY(tensor_take(turn, ELEMENT_I32, TENSOR_SHAPE(1, model->family.clip[0].positions), out));
  return device_put(model->device, ids, tensor_bytes(out), out);
}

static enum status encode(const struct model *model, struct arena *turn,
                          const struct condition *condition,
                          const struct conditioning *conditioning) {
  struct tensor ids;
  TRY(put_ids(model, turn, condition->prompt, &ids));
  struct pass pass = model_pass(model, turn, PRECISION_FAST);
  adaptation_enter(condition->adaptation, model->family.row->place[0].network, &pass);
  TRY(clip_run(&pass, &model->clip[0], &ids, &conditioning->embedding));
  adaptation_enter(condition->adaptation, NETWORK_UNET, &pass);
  return unet_condition(&pass, &model->unet, conditioning);
}

/* What nothing fills yet. */
static enum status refuse_unbuilt(const struct condition *condition) {
  bool plain = condition->mode == PROMPT_MODE_PLAIN && condition->clip_skip == 0 &&
               condition->size_count == 0 && condition->guidance == 0 &&
               condition->embeddings == NULL;
  return plain ? OK : fail_field(BAD_INPUT, "prompt", "only plain prompts are implemented");
}

enum status model_condition(struct model *model, struct arena *keep, struct arena *turn,
                            const struct condition *condition, struct conditioning *out,
                            struct condition_report *report) {
  TRY(refuse_unbuilt(condition));
  struct arena_mark kept = arena_mark(keep), mark = arena_mark(turn);
  enum status status = take_conditioning(model, keep, out);
  if (status == OK) {
    status = encode(model, turn, condition, out);
    arena_release(turn, mark);
  }
  if (status == OK && report != NULL) {
    *report = (struct condition_report){.chunks = 1};
  }
  if (status != OK) {
    arena_release(keep, kept);
  }
  return status;
}

/* An arena rounds every piece up to its alignment. */
static size_t bytes_taken(size_t bytes) { return (bytes + 63) / 64 * 64; }

enum status model_condition_chunks(const struct model *model, const struct condition *condition,
                                   int *out) {
  (void)model;
  TRY(refuse_unbuilt(condition));
  *out = 1;
  return OK;
}

size_t model_condition_bytes(const struct model *model, int chunks) {
  size_t positions = (size_t)chunks * (size_t)model->family.clip[0].positions;
  size_t value = element_bytes(device_element(model->device));
  return bytes_taken(positions * (size_t)model->family.clip[0].width * value) +
         bytes_taken(positions * (size_t)model->unet.half.context_columns * value);
}

static enum status condition_dry(const struct pass *pass, const struct model *model,
                                 const struct tensor *embedding) {
  struct tensor ids;
  TRY(pass_take_as(pass, ELEMENT_I32, TENSOR_SHAPE(1, model->family.clip[0].positions), &ids));
  return clip_run(pass, &model->clip[0], NULL, embedding);
}

size_t model_condition_scratch_bytes(const struct model *model) {
  const struct clip_facts *facts = &model->family.clip[0];
  struct tensor embedding = {.element = device_element(model->device),
                             .rank = 2,
                             .shape = {facts->positions, facts->width, 1, 1}};
  return model_dry_bytes(model, &embedding, condition_dry);
}

void model_context(const struct conditioning *conditioning, struct batch_row *row) {
  row->context = conditioning->keys_values.data;
  row->tokens = (int32_t)conditioning->embedding.shape[0];
}
