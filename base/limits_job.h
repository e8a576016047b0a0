/* limits_job.h - what a job may be and bring; read through limits.h. */
#ifndef DARKROOM_BASE_LIMITS_JOB_H
#define DARKROOM_BASE_LIMITS_JOB_H

/* of the wire: MAXMSGSIZE is also what an unknown peer can make us hold */
#define FRAME_BYTES_MAX (256 * 1024)

#define JOB_ID_BYTES_MAX 64
#define JOB_TENANT_BYTES_MAX 64
#define JOB_PROMPT_BYTES_MAX 8192
#define JOB_MODEL_BYTES_MAX 128
#define JOB_SAMPLER_BYTES_MAX 32
#define JOB_STEPS_MAX 1000
#define JOB_SIDE_PIXELS_MIN 8
#define JOB_SIDE_PIXELS_MAX 2048
#define JOB_SIDE_PIXELS_MULTIPLE 8
#define JOB_IMAGES_MAX 64
#define JOB_GUIDANCE_MAX 100.0
#define JOB_METADATA_MAX 16
#define JOB_DEADLINE_MS_MAX (7LL * 24 * 3600 * 1000)
#define JOB_CLIP_SKIP_MAX 22        /* layers; the longest text encoder has 32, most have 12 */
#define JOB_ADAPTER_WEIGHT_MAX 10.0 /* to either side of 0 */
#define JOB_CONTROL_SCALE_MAX 10.0
#define JOB_SIZE_NUMBER_MAX 16384 /* of what a model is told of its picture's origin */
#define JOB_SCORE_MAX 10.0
#define JOB_WARNINGS_MAX 16
#define JOB_WARNING_BYTES_MAX 256

/* files that a job needs: how many of each, what is said of one, and how large each may be */
#define CONTROLS_MAX 4
#define JOB_ADAPTERS_MAX 8
#define JOB_EMBEDDINGS_MAX 8
#define JOB_INPUTS_MAX (2 + CONTROLS_MAX + JOB_ADAPTERS_MAX + JOB_EMBEDDINGS_MAX)
#define JOB_NAME_BYTES_MAX JOB_MODEL_BYTES_MAX /* of a control net, adapter or embedding */
#define JOB_TOKEN_BYTES_MAX 64                 /* that an embedding stands for */
#define BLOB_URL_BYTES_MAX 1024
#define JOB_INLINE_BYTES_MAX (160 * 1024) /* of all together: they travel in the job's frame */
#define INPUT_PICTURE_BYTES_MAX (64 * 1024 * 1024)
#define INPUT_ADAPTER_BYTES_MAX (512 * 1024 * 1024)
#define INPUT_EMBEDDING_BYTES_MAX (16 * 1024 * 1024)
#define JOB_INPUT_BYTES_MAX (1024 * 1024 * 1024) /* of all together */
#define INPUT_SIDE_PIXELS_MAX 16384              /* before anything is decoded */
#define INPUT_PIXELS_MAX (4096 * 4096)
#define PREVIEW_BYTES_MAX (16 * 1024)
#define PREVIEW_SIDE_PIXELS_MAX 256
#define BEAT_PREVIEW_BYTES_MAX (6 * PREVIEW_BYTES_MAX)
#define EXTRAS_MAX 256 /* control nets, adapters, embeddings, tiny decoders of one worker */
#define FLEET_EXTRAS_MAX 512

_Static_assert(JOB_PROMPT_BYTES_MAX * 8 < FRAME_BYTES_MAX,
               "a job with the longest prompts fits in a frame");
_Static_assert(2 * JOB_PROMPT_BYTES_MAX + JOB_METADATA_MAX * (64 + 1024 + 16) +
                       JOB_INPUTS_MAX * (BLOB_URL_BYTES_MAX + JOB_NAME_BYTES_MAX + 128) +
                       JOB_INLINE_BYTES_MAX <
                   FRAME_BYTES_MAX - 16 * 1024,
               "the largest job fits in a frame, also beside what an ASSIGN says of it");
_Static_assert(JOB_INPUT_BYTES_MAX >= INPUT_ADAPTER_BYTES_MAX &&
                   INPUT_ADAPTER_BYTES_MAX >= INPUT_PICTURE_BYTES_MAX &&
                   INPUT_PICTURE_BYTES_MAX >= JOB_INLINE_BYTES_MAX,
               "one input of the largest kind is a job's, and what is inline is no larger");
_Static_assert(INPUT_PIXELS_MAX >= JOB_SIDE_PIXELS_MAX * JOB_SIDE_PIXELS_MAX &&
                   INPUT_SIDE_PIXELS_MAX >= JOB_SIDE_PIXELS_MAX,
               "what we make can be what we are given");
_Static_assert(BEAT_PREVIEW_BYTES_MAX < FRAME_BYTES_MAX / 2, "previews leave a BEAT its room");
_Static_assert(
    FLEET_EXTRAS_MAX >= EXTRAS_MAX &&
        FLEET_EXTRAS_MAX * (JOB_NAME_BYTES_MAX + 64 + 64) < FRAME_BYTES_MAX * 3 / 4,
    "the extras of one worker are known to the fleet, and the list of all fits in a frame");
_Static_assert(JOB_SIDE_PIXELS_MAX % JOB_SIDE_PIXELS_MULTIPLE == 0, "the largest side is allowed");

#endif
