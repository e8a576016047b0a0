/* limits.h - every maximum in the system, and what must hold between them. */
#ifndef DARKROOM_BASE_LIMITS_H
#define DARKROOM_BASE_LIMITS_H

#include "base/limits_job.h"
#include "base/limits_keys.h"

/* memory */
#define ARENA_BLOCKS_MAX 64

/* open files that a program cannot do without: libzmq aborts where it gets no descriptor */
#define DESCRIPTORS_OF_CLIENT_MIN 32
#define DESCRIPTORS_OF_DAEMON_MIN 128

/* the admin port: who is kept though he asks for nothing; beyond it, those who came in one round of
 * accepting (the library takes 10) and those who are shown out and not closed yet */
#define HEALTH_CONNECTIONS_KEPT 32
#define HEALTH_CONNECTIONS_MAX 96

/* where a broker is: one endpoint as written and as libzmq is given it (with its NUL), the path of
 * a unix socket (what the system has room for, less a NUL), and a list of them with its NUL */
#define ENDPOINT_TEXT_BYTES_MAX 500
#define ENDPOINT_BYTES_MAX 512
#define ENDPOINT_PATH_BYTES_MAX 107
#define ENDPOINTS_BYTES_MAX 2048
#define ENDPOINTS_MAX 16

/* the wire; FRAME_BYTES_MAX is in limits_job.h */
#define FRAME_BYTES_TOLD_MAX (1024 * 1024) /* up to here a broker says that it is too large */
#define FLOOD_MESSAGES_MAX 50000           /* a second, from a broker: more is no broker of ours */
#define FLOOD_BYTES_MAX (64 * 1024 * 1024)
#define UNPACK_BYTES_MAX (4 * 1024 * 1024)
#define UNPACK_FACTOR_MAX 8
#define CONTEXTS_ENDING_MAX 8 /* connections left that still wait for a name server */

/* the broker's connections: what one may hold of it, and all together. Beyond half of a sum one may
 * hold a frame: whoever holds little is never refused for those who hold much. */
#define CALLERS_MAX 16384
#define CALLER_UNREAD_BYTES_MAX (1024 * 1024) /* said to it and not read by it */
#define UNREAD_BYTES_MAX (256 * 1024 * 1024)
#define CALLER_UNSERVED_BYTES_MAX (4 * 1024 * 1024) /* asked by it and not taken up yet */
#define UNSERVED_BYTES_MAX (128 * 1024 * 1024)
#define CALLER_WATCHES_MAX 4096
#define WATCHERS_MAX 65536
#define WATCH_IDS_MAX 64 /* of one WATCH message */

/* the queue */
#define ATTEMPTS_MAX 5
#define CRASHES_MAX 3
#define LOSSES_MAX 10
#define SCRIPT_LOOP_MAX 100
#define FLEET_WORKERS_MAX 2048 /* heard last: known to a broker */
#define FLEET_MODELS_MAX 512   /* of all workers, those that have gone included */
#define WORKER_TOKEN_BYTES_MAX JOB_ID_BYTES_MAX
#define WORKER_HOST_BYTES_MAX 64
#define WORKER_DEVICE_TEXT_BYTES_MAX 256 /* of each text about a device */
#define LIST_JOBS_MAX 1000
#define LIST_PAGE_ROWS 25 /* of a longer LIST: what one turn asks for */

/* the queue's Redis; sizes of texts with their ends */
#define REDIS_SOCKET_BYTES_MAX 108 /* sun_path's */
#define REDIS_HOST_BYTES_MAX 256
#define REDIS_USER_BYTES_MAX 128
#define REDIS_PASSWORD_BYTES_MAX 512
#define REDIS_ADDRESSES_MAX 16 /* of one name; further ones are not tried */

/* the engine */
#define BATCH_ROWS_MAX 64
#define SAMPLE_SLOTS_MAX 8
#define SAMPLES_MAX 64
#define ADAPTER_RANK_MAX 512   /* of all adapters of a job together, on the side path */
#define ADAPTED_TOGETHER_MAX 4 /* linear layers of one input: q, k and v */
#define CONTROLS_MAX 4         /* control nets of one job */
#define CONTROL_SKIPS_MAX 16   /* what one of them adds to a U-Net: skips and the middle block */
#define TOKENS_PER_CHUNK 77
#define PROMPT_CHUNKS_MAX 16  /* of a prompt in chunks */
#define TEXT_ENCODERS_MAX 2   /* of a model */
#define CONDITION_SIZES_MAX 6 /* numbers that a model is told beside the prompt */
#define DEVICES_MAX 16
#define SEQUENCES_MAX 48 /* of ops that a device keeps whole */
#define MODELS_MAX 64
#define MODELS_ROWS_MAX 512           /* of a model table: models and what jobs name beside them */
#define WORKER_CREDITS_MAX MODELS_MAX /* models that one CLAIM names */

/* weights: what an untrusted file may make us hold before its hash is known to be right */
#define SAFETENSORS_HEADER_BYTES_MAX (16 * 1024 * 1024)
#define SAFETENSORS_TENSORS_MAX 100000
#define SAFETENSORS_NAME_BYTES_MAX 512
#define SAFETENSORS_RANK_MAX 8
#define WEIGHT_FILES_MAX 64 /* of one model */
#define CONFIG_BYTES_MAX (1024 * 1024)
#define VOCABULARY_BYTES_MAX (8 * 1024 * 1024)

/* the log: of one event name, at level warning and above (monitoring/log.h) */
#define LOG_LINES_PER_SECOND_MAX 20
#define LOG_CAUSES_MAX 128

/* images */
#define IMAGE_FILE_BYTES_MAX (64 * 1024 * 1024)

_Static_assert(UNPACK_BYTES_MAX >= FRAME_BYTES_MAX, "any frame can be unpacked");
_Static_assert(CALLER_UNREAD_BYTES_MAX >= 2 * FRAME_BYTES_MAX,
               "an answer of any size fits beside another");
_Static_assert(UNSERVED_BYTES_MAX >= 16 * CALLER_UNSERVED_BYTES_MAX &&
                   CALLER_UNSERVED_BYTES_MAX >= 2 * FRAME_BYTES_MAX,
               "the same for what waits to be served");
_Static_assert(UNREAD_BYTES_MAX >= 16 * CALLER_UNREAD_BYTES_MAX,
               "one connection cannot make the rest poor");
_Static_assert(WATCHERS_MAX >= 16 * CALLER_WATCHES_MAX, "nor take the watches of all");
_Static_assert(WATCHERS_MAX >= 4 * TENANT_WATCHES_MAX && TENANT_WATCHES_MAX >= CALLER_WATCHES_MAX,
               "nor one tenant, which may use one connection in full");
_Static_assert(CALLER_WATCHES_MAX >= WATCH_IDS_MAX, "a WATCH can be granted");
_Static_assert(FLEET_MODELS_MAX >= MODELS_MAX, "the models of one worker are known to the fleet");
_Static_assert(FLEET_MODELS_MAX *(JOB_MODEL_BYTES_MAX + 64 + 64) < FRAME_BYTES_MAX,
               "the list of all models fits in a frame");
_Static_assert(MODELS_ROWS_MAX >= 2 * MODELS_MAX, "each model may have company");
_Static_assert(LOSSES_MAX > CRASHES_MAX, "who is a suspect can still be proved guilty");
_Static_assert(WORKER_TOKEN_BYTES_MAX + WORKER_HOST_BYTES_MAX < 1024,
               "a worker's identity is a small text, also beside 64 models");
_Static_assert(DEVICES_MAX * 9 * WORKER_DEVICE_TEXT_BYTES_MAX < FRAME_BYTES_MAX / 4,
               "what a worker says of its devices fits in a BEAT beside its jobs");
_Static_assert(WORKER_CREDITS_MAX >= MODELS_MAX,
               "a worker that has said HELLO with its models can CLAIM work for each of them");
_Static_assert(WORKER_CREDITS_MAX *(JOB_MODEL_BYTES_MAX + 32) < FRAME_BYTES_MAX,
               "the largest CLAIM fits in a frame");
_Static_assert(LIST_PAGE_ROWS <= SCRIPT_LOOP_MAX && LIST_PAGE_ROWS <= LIST_JOBS_MAX,
               "a page is one call of the script");
_Static_assert(BATCH_ROWS_MAX >= 2, "a guided image needs two rows");
_Static_assert(CONTROL_SKIPS_MAX >= 13, "SD 1.x has 12 skips and a middle block");
_Static_assert(HEALTH_CONNECTIONS_MAX >= HEALTH_CONNECTIONS_KEPT + 2 * 10,
               "a round of newcomers fits before those who make room for it are closed");
_Static_assert(DESCRIPTORS_OF_DAEMON_MIN > HEALTH_CONNECTIONS_MAX,
               "the admin port leaves descriptors for the daemon's own work");
_Static_assert(ENDPOINT_PATH_BYTES_MAX + 6 <= ENDPOINT_TEXT_BYTES_MAX,
               "ipc:// and the longest path are an endpoint");
_Static_assert(ENDPOINT_TEXT_BYTES_MAX + 11 < ENDPOINT_BYTES_MAX,
               "there is room for what localhost becomes");
_Static_assert(ENDPOINTS_BYTES_MAX > 4 * ENDPOINT_TEXT_BYTES_MAX && ENDPOINTS_MAX >= 4,
               "a list has room for four of the longest endpoints");

#endif
