/* family_index.c - model_index.json: which pipeline's habits a model has, and which parts. */
#include <stddef.h>

#include "worker/model/family_configs.h"

/* What the pipelines differ in here: XL's leave the offset of the timesteps as the scheduler's file
 * has it, and so does the consistency models' (those of SD 1 and 2 set it to 1). What goes in and
 * what is masked is the job's to say, whatever pipeline the author named. In the order of
 * `accepted` below. */
static const struct pipeline {
  bool xl, keeps_offset;
} pipelines[] = {
    {false, false}, {false, false}, {false, false}, {true, true},
    {true, true},   {true, true},   {false, true},  {false, true},
};

struct index {
  int pipeline;
  int encoder[TEXT_ENCODERS_MAX];   /* 0: there is one */
  int tokenizer[TEXT_ENCODERS_MAX]; /* in the order of `accepted` */
  bool scored, zeros;
};
#define INDEX(member) offsetof(struct index, member)
/* diffusers opens the tokenizer's class that is named here, whatever its own files say. */
#define TOKENIZERS \
  "[\"transformers\",\"CLIPTokenizer\"]|[\"transformers\",\"CLIPTokenizerFast\"]|[null,null]|null"
/* The safety checker and the watermark look at finished pictures and do not make them; whether to
 * run one is the operator's decision and not part of the model here. */
static const struct config_key index_keys[] = {
    {"_class_name", CONFIG_WORD, INDEX(pipeline),
     .accepted = "'StableDiffusionPipeline'|'StableDiffusionImg2ImgPipeline'|"
                 "'StableDiffusionInpaintPipeline'|'StableDiffusionXLPipeline'|"
                 "'StableDiffusionXLImg2ImgPipeline'|'StableDiffusionXLInpaintPipeline'|"
                 "'LatentConsistencyModelPipeline'|'LatentConsistencyModelImg2ImgPipeline'",
     .standard = "'StableDiffusionPipeline'"},
    {"text_encoder", CONFIG_WORD, INDEX(encoder[0]),
     .accepted = "[\"transformers\",\"CLIPTextModel\"]|[null,null]|null", .standard = "null"},
    {"text_encoder_2", CONFIG_WORD, INDEX(encoder[1]),
     .accepted = "[\"transformers\",\"CLIPTextModelWithProjection\"]|[null,null]|null",
     .standard = "null"},
    {"tokenizer", CONFIG_WORD, INDEX(tokenizer[0]), .accepted = TOKENIZERS,
     .standard = "[\"transformers\",\"CLIPTokenizer\"]"},
    {"tokenizer_2", CONFIG_WORD, INDEX(tokenizer[1]), .accepted = TOKENIZERS,
     .standard = "[\"transformers\",\"CLIPTokenizer\"]"},
    {"requires_aesthetics_score", CONFIG_FLAG, INDEX(scored), .standard = "false"},
    {"force_zeros_for_empty_prompt", CONFIG_FLAG, INDEX(zeros), .standard = "true"},
    {"unet", CONFIG_ONLY, .accepted = "[\"diffusers\",\"UNet2DConditionModel\"]"},
    {"vae", CONFIG_ONLY, .accepted = "[\"diffusers\",\"AutoencoderKL\"]"},
    {"image_encoder", CONFIG_ONLY, .accepted = "[null,null]|null"},
    {"scheduler", .kind = CONFIG_ANY}, /* its own file says the class */
    {"feature_extractor", .kind = CONFIG_ANY},
    {"requires_safety_checker", .kind = CONFIG_ANY},
    {"safety_checker", .kind = CONFIG_ANY},
    {"add_watermarker", .kind = CONFIG_ANY},
    {"_diffusers_version", .kind = CONFIG_ANY},
    {"_name_or_path", .kind = CONFIG_ANY},
    {.key = NULL},
};
enum { RULES_PLAIN, RULES_FAST };

static enum status refuse(const char *what) {
  return fail_field(BAD_INPUT, "config", "model_index.json: %s", what);
}

/* SD 1 and 2 have the first text encoder, XL both, XL's refiner the second. */
static enum status check_encoders(const struct index *index, bool xl) {
  bool first = index->encoder[0] == 0, second = index->encoder[1] == 0;
  if (!xl && (!first || second)) {
    return refuse("this pipeline has a text_encoder and no text_encoder_2");
  }
  if (xl && !second) {
    return refuse("an XL pipeline has a text_encoder_2");
  }
  for (int i = 0; i < TEXT_ENCODERS_MAX; i++) {
    if (index->encoder[i] == 0 && index->tokenizer[i] > RULES_FAST) {
      return refuse(i == 0 ? "tokenizer is missing beside text_encoder"
                           : "tokenizer_2 is missing beside text_encoder_2");
    }
  }
  return OK;
}

enum status family_index_read(const char *folder, struct family_index *out) {
  struct index index = {0};
  TRY(config_read(folder, "model_index.json", index_keys, &index));
  const struct pipeline *pipeline = &pipelines[index.pipeline];
  TRY(check_encoders(&index, pipeline->xl));
  struct family_index facts = {.xl = pipeline->xl,
                               .keeps_offset = pipeline->keeps_offset,
                               .scored = index.scored,
                               .zeros = pipeline->xl && index.zeros};
  for (int i = 0; i < TEXT_ENCODERS_MAX; i++) {
    facts.encoder[i] = index.encoder[i] == 0;
    facts.rules[i] = index.tokenizer[i] == RULES_PLAIN ? PROMPT_PLAIN : PROMPT_FAST;
  }
  *out = facts;
  return OK;
}
