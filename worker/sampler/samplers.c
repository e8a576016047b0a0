/* samplers.c - the list of samplers; a new one is a file with its fill function and a row here. */
#include "worker/sampler/fill.h"
#include "worker/sampler/plan.h"

const struct sampler samplers[] = {
    {"euler", true, euler_fill,
     "Karras et al. 2022, algorithm 2 without churn; EulerDiscreteScheduler"},
    {"euler_a", true, euler_a_fill,
     "ancestral step of k-diffusion; EulerAncestralDiscreteScheduler"},
    {"ddim", false, ddim_fill, "Song et al. 2020, eta 0; DDIMScheduler without clip_sample"},
    {"dpmpp_2m", true, dpmpp_2m_fill,
     "Lu et al. 2022 (2211.01095), midpoint; DPMSolverMultistepScheduler"},
};
const size_t sampler_count = sizeof samplers / sizeof samplers[0];
