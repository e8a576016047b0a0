/* check.h - the parts of gpu-check; check.c has the table. */
#ifndef DARKROOM_TESTS_GPU_CHECK_H
#define DARKROOM_TESTS_GPU_CHECK_H

#include "tests/gpu/part.h"

/* ops (check_ops.c) */
void check_ops(const struct gpu_settings *settings, struct report *report);
void check_large(const struct gpu_settings *settings, struct report *report);
void check_mates(const struct gpu_settings *settings, struct report *report);
void check_few(const struct gpu_settings *settings, struct report *report);

/* pictures (check_pictures.c) */
void check_self_test(const struct gpu_settings *settings, struct report *report);
void check_goldens(const struct gpu_settings *settings, struct report *report);
void check_picture_mates(const struct gpu_settings *settings, struct report *report);
void check_sequences(const struct gpu_settings *settings, struct report *report);

/* accidents (check_faults.c) */
void check_memory(const struct gpu_settings *settings, struct report *report);
void check_killed(const struct gpu_settings *settings, struct report *report);
void check_one_picture(const struct gpu_settings *settings, struct report *report);
void check_memcheck(const struct gpu_settings *settings, struct report *report);
void check_racecheck(const struct gpu_settings *settings, struct report *report);

#endif
