/* bench.h - the parts of gpu-bench; bench.c has the table. */
#ifndef DARKROOM_TESTS_GPU_BENCH_H
#define DARKROOM_TESTS_GPU_BENCH_H

#include "tests/gpu/part.h"

void bench_machine(const struct gpu_settings *settings, struct report *report);

/* one model, all its images at once (bench_whole.c) */
void bench_whole(const struct gpu_settings *settings, struct report *report);
void bench_decode(const struct gpu_settings *settings, struct report *report);
void bench_strict(const struct gpu_settings *settings, struct report *report);
void bench_demo(const struct gpu_settings *settings, struct report *report);

/* jobs of many people (bench_jobs.c) */
void bench_jobs(const struct gpu_settings *settings, struct report *report);
void bench_arrivals(const struct gpu_settings *settings, struct report *report);

/* op by op (bench_ops.c) */
void bench_step_ops(const struct gpu_settings *settings, struct report *report);
void bench_batch_ops(const struct gpu_settings *settings, struct report *report);
void bench_decode_ops(const struct gpu_settings *settings, struct report *report);
void bench_bands(const struct gpu_settings *settings, struct report *report);

#endif
