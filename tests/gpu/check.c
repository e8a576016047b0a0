/* check.c - the table of gpu-check: is what the GPU computes right? */
#include "tests/gpu/check.h"
#include "tests/gpu/bench.h"

#define OWN "DARKROOM_CUDA_OWN=1"

static const struct part parts[] = {
    {"machine", "which GPU, driver and libraries these are", 10, .run = bench_machine},
    {"models", "models that follow from a hash, made here", 40, .script = "models.py",
     .ahead = true},
    {"ops", "every op in f16, bf16 and f32 against ref", 25, .run = check_ops},
    {"ops-own", "the same, all by our own kernels", 25, .run = check_ops, .environment = OWN},
    {"self-test", "every model's engine opens, and so passes its self-test", 15,
     .run = check_self_test},
    {"goldens", "pictures of tiny models against diffusers, every sampler", 15,
     .run = check_goldens},
    {"mates", "every op: a row's bits alone and in batches of 2 to 16", 30, .run = check_mates},
    {"mates-own", "the same, all by our own kernels", 30, .run = check_mates, .environment = OWN},
    {"picture-mates", "whole pictures, alone and with 1 to 15 others", 30,
     .run = check_picture_mates},
    {"sequences", "whole pictures from graphs and op by op", 15, .run = check_sequences},
    {"large", "Stable Diffusion's shapes: the libraries against our own kernels", 30,
     .run = check_large},
    {"memory", "memory that runs out; an engine with room for few rows", 15, .run = check_memory},
    {"killed", "a process killed at work, and a fresh one", 20, .run = check_killed},
    {"memcheck", "compute-sanitizer memcheck over one case of each op", 25, .run = check_memcheck,
     .environment = OWN},
    {"racecheck", "compute-sanitizer racecheck over the same", 25, .run = check_racecheck,
     .environment = OWN},
};

/* Those that are begun by other parts. */
static const struct part inner[] = {
    {"one-picture", "one picture, for `killed`", 60, .run = check_one_picture},
    {"few", "one case of each op, for the checkers", 60, .run = check_few},
};

const struct table gpu_check = {.name = "gpu-check",
                                .summary = "is what the GPU computes right?",
                                .parts = parts,
                                .count = sizeof parts / sizeof parts[0],
                                .inner = inner,
                                .inner_count = sizeof inner / sizeof inner[0],
                                .seconds = 180};
