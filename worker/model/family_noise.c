/* family_noise.c - scheduler/scheduler_config.json. */
#include <stddef.h>

#include "worker/model/family_configs.h"

struct noise_config {
  struct noise_facts facts;
  int schedule, prediction, spacing, final_alpha;
  bool clips;
};
#define NOISE(member) offsetof(struct noise_config, member)
/* The file's class only says which sampler its author liked: a job names its own. So the facts of
 * the noise are read, and values that belong to another way of sampling than ours are refused
 * unless they are the usual ones. */
static const struct config_key noise_keys[] = {
    {"_class_name", CONFIG_ONLY,
     .accepted = "'DDIMScheduler'|'PNDMScheduler'|'EulerDiscreteScheduler'|'"
                 "EulerAncestralDiscreteScheduler'|"
                 "'DPMSolverMultistepScheduler'|'DDPMScheduler'|'LMSDiscreteScheduler'|"
                 "'HeunDiscreteScheduler'|'DPMSolverSDEScheduler'|'UniPCMultistepScheduler'|"
                 "'LCMScheduler'|'TCDScheduler'"},
    {"num_train_timesteps", CONFIG_INTEGER, NOISE(facts.train_timesteps), 1, TRAIN_TIMESTEPS_MAX,
     .standard = "1000"},
    {"beta_start", CONFIG_NUMBER, NOISE(facts.beta_start), 1e-8, 0.999, .standard = "0.0001"},
    {"beta_end", CONFIG_NUMBER, NOISE(facts.beta_end), 1e-8, 0.999, .standard = "0.02"},
    {"beta_schedule", CONFIG_WORD, NOISE(schedule),
     .accepted = "'linear'|'scaled_linear'|'squaredcos_cap_v2'", .standard = "'linear'"},
    {"prediction_type", CONFIG_WORD, NOISE(prediction),
     .accepted = "'epsilon'|'v_prediction'|'sample'", .standard = "'epsilon'"},
    {"timestep_spacing", CONFIG_WORD, NOISE(spacing),
     .accepted = "null|'leading'|'linspace'|'trailing'", .standard = "null"},
    {"set_alpha_to_one", CONFIG_WORD, NOISE(final_alpha), .accepted = "null|true|false",
     .standard = "null"},
    {"original_inference_steps", CONFIG_INTEGER, NOISE(facts.original_steps), 1,
     TRAIN_TIMESTEPS_MAX, .standard = "50"},
    {"timestep_scaling", CONFIG_ONLY, .accepted = "10"}, /* LCM */
    {"rescale_betas_zero_snr", CONFIG_FLAG, NOISE(facts.rescale_zero_snr), .standard = "false"},
    {"steps_offset", CONFIG_INTEGER, NOISE(facts.steps_offset), 0, 1, .standard = "0"},
    {"trained_betas", CONFIG_ONLY, .accepted = "null"},
    {"thresholding", CONFIG_ONLY, .accepted = "false"},
    {"interpolation_type", CONFIG_ONLY, .accepted = "'linear'"},
    {"timestep_type", CONFIG_ONLY, .accepted = "'discrete'"},
    {"sigma_min", CONFIG_ONLY, .accepted = "null"},
    {"sigma_max", CONFIG_ONLY, .accepted = "null"},
    {"final_sigmas_type", CONFIG_ONLY, .accepted = "'zero'"},
    {"solver_order", CONFIG_ONLY, .accepted = "2"},
    {"algorithm_type", CONFIG_ONLY, .accepted = "'dpmsolver++'|'sde-dpmsolver++'"},
    {"solver_type", CONFIG_ONLY, .accepted = "'midpoint'|'bh2'"},
    {"predict_x0", CONFIG_ONLY, .accepted = "true"}, /* UniPC */
    {"disable_corrector", CONFIG_ONLY, .accepted = "[]"},
    {"solver_p", CONFIG_ONLY, .accepted = "null"},
    {"noise_sampler_seed", .kind = CONFIG_ANY}, /* DPM++ SDE: ours comes from the job's seed */
    {"lower_order_final", CONFIG_ONLY, .accepted = "true"},
    {"euler_at_final", CONFIG_ONLY, .accepted = "false"},
    {"use_karras_sigmas", CONFIG_ONLY, .accepted = "null|false|true"}, /* the job says it */
    {"use_exponential_sigmas", CONFIG_ONLY, .accepted = "null|false|true"},
    {"use_beta_sigmas", CONFIG_ONLY, .accepted = "null|false|true"},
    {"use_flow_sigmas", CONFIG_ONLY, .accepted = "null|false"},
    {"use_lu_lambdas", CONFIG_ONLY, .accepted = "null|false"},
    {"use_dynamic_shifting", CONFIG_ONLY, .accepted = "null|false"},
    {"lambda_min_clipped", CONFIG_ONLY, .accepted = "null"},          /* -Infinity, masked */
    {"variance_type", CONFIG_ONLY, .accepted = "null|'fixed_small'"}, /* DDPM */
    {"skip_prk_steps", .kind = CONFIG_ANY}, /* PNDM always skips them here */
    {"clip_sample", CONFIG_FLAG, NOISE(clips), .standard = "false"},
    {"clip_sample_range", .kind = CONFIG_ANY},
    {"sample_max_value", .kind = CONFIG_ANY}, /* of thresholding, refused above */
    {"dynamic_thresholding_ratio", .kind = CONFIG_ANY},
    {"flow_shift", .kind = CONFIG_ANY}, /* of flow sigmas, refused above */
    {"time_shift_type", .kind = CONFIG_ANY},
    {"_diffusers_version", .kind = CONFIG_ANY},
    {.key = NULL},
};

/* The pipelines of SD 1 and 2 turn clipping off and set the offset to 1 whatever the file says. */
enum status noise_read(const char *folder, const struct family_index *index,
                       struct noise_facts *out) {
  static const char name[] = "scheduler/scheduler_config.json";
  struct noise_config config = {0};
  TRY(config_read(folder, name, noise_keys, &config));
  if (index->keeps_offset && config.clips) {
    return fail_field(BAD_INPUT, "config", "%s: clip_sample is true; implemented: false", name);
  }
  struct noise_facts facts = config.facts;
  facts.beta_schedule = (enum beta_schedule)config.schedule;
  facts.prediction = (enum prediction)config.prediction;
  facts.spacing = (enum spacing)config.spacing;
  facts.final_alpha = (enum final_alpha)config.final_alpha;
  facts.steps_offset = index->keeps_offset ? facts.steps_offset : 1;
  *out = facts;
  return OK;
}
_Static_assert(BETAS_LINEAR == 0 && BETAS_SCALED_LINEAR == 1 && BETAS_SQUARED_COSINE == 2,
               "order of beta_schedule");
_Static_assert(PREDICTION_EPSILON == 0 && PREDICTION_V == 1 && PREDICTION_SAMPLE == 2,
               "order of prediction_type");
_Static_assert(SPACING_DEFAULT == 0 && SPACING_LEADING == 1 && SPACING_LINSPACE == 2 &&
                   SPACING_TRAILING == 3,
               "order of timestep_spacing");
_Static_assert(FINAL_ALPHA_DEFAULT == 0 && FINAL_ALPHA_ONE == 1 && FINAL_ALPHA_FIRST == 2,
               "order of set_alpha_to_one");
