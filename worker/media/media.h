/* media.h - three pools of threads in the parent, so that a finished picture outlives an engine.
 *
 * A task goes in, is tried once, and comes back with its outcome; nothing is shared, the task's
 * memory travels with it. Whoever sent it decides whether and when to send it again, so no thread
 * ever sleeps on a store that is away. What needs the store has threads of its own: one that is
 * only slow must not keep a picture from being encoded and spooled, where a crash cannot take it.
 * What jobs bring comes from anywhere, and has the third: a file that has not been tried yet goes
 * before those that have, and a slow one gives way to it (pace.h).
 */
#ifndef DARKROOM_WORKER_MEDIA_MEDIA_H
#define DARKROOM_WORKER_MEDIA_MEDIA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/limits.h"
#include "base/status.h"
#include "store/digest.h"
#include "store/places.h"
#include "store/store.h"
#include "worker/media/caption.h"

#define MEDIA_THREADS_MAX 16
#define MEDIA_FETCH_THREADS_MAX 64
#define MEDIA_URL_BYTES_MAX 1024

enum media_kind {
  MEDIA_FINISH, /* pixels: encode and spool */
  MEDIA_STORE,  /* store a picture, from the spool or from file */
  MEDIA_SEAL,   /* write the attempt's "complete" (in payload) into the spool */
  MEDIA_DROP,   /* remove the attempt from the spool, and its first image_count objects from the
                   store */
  MEDIA_CHECK,  /* find out whether the store takes an object */
  MEDIA_FETCH,  /* fetch and prepare the files that a job needs (in assign) */
};

/* One of a job's files, prepared, in the memory of the task's descriptor. */
struct media_input {
  Darkroom__V1__BlobKind kind;
  uint32_t index, width, height, channels; /* as pipe.proto's Input */
  uint64_t offset, bytes;
};

struct media_task {
  struct media_task *next; /* the pool's */
  enum media_kind kind;
  char id[65];
  uint64_t fence;
  uint32_t index;       /* of the image */
  uint32_t image_count; /* DROP: objects to remove, 0: leave the store alone */
  struct bytes assign;  /* FINISH, STORE, DROP: the packed Assign */
  struct bytes payload; /* SEAL: the packed Complete */
  char model_sha256[SHA256_TEXT_MAX];
  struct caption_means means;
  uint32_t width, height;       /* FINISH */
  struct bytes pixels;          /* FINISH: freed once they are encoded */
  struct bytes file;            /* the encoded picture, kept only while it could not be spooled */
  char sha256[SHA256_TEXT_MAX]; /* of the encoded picture: FINISH tells it, STORE holds the spool's
                                   copy to it (unless it is "") and tells it */
  uint64_t file_bytes;          /* the same */
  /* what came of it */
  enum status status;
  char reason[FAIL_REASON_MAX];
  bool encoded;           /* FINISH: the pixels became a file */
  bool spooled;           /* FINISH, STORE: the spool has it */
  bool lost;              /* STORE: the spool's copy is gone or damaged; the store was not asked */
  int64_t retry_after_ms; /* STORE, CHECK: how long the store wishes to be left alone, or 0 */
  char url[MEDIA_URL_BYTES_MAX];
  uint64_t encode_us, store_us;
  /* FETCH */
  int descriptor; /* of the inputs' memory, -1: none; closed with the task */
  struct media_input input[JOB_INPUTS_MAX];
  size_t input_count;
  uint64_t input_bytes;   /* of the memory */
  uint64_t fetched_bytes; /* of the files */
  char field[32];         /* of the job, that was dealt with last */
  uint64_t fetch_us;
  bool at_hand; /* all of them came in the job: nobody is asked, and nobody slow waited behind */
  bool again;   /* it was tried before: those that were not go first */
  int64_t until_ms; /* clock_ms() at which its transfers end */
};

struct media_settings {
  int threads;       /* of the disk's pool and of the store's, 1..MEDIA_THREADS_MAX */
  int fetch_threads; /* of the third, 1..MEDIA_FETCH_THREADS_MAX: most of them wait for somebody */
  struct store_settings store;
  struct places places; /* that jobs may name */
  size_t cache_bytes;   /* of files that jobs brought, kept for further jobs */
  const char *spool;    /* opened by the caller */
  const char *worker;
  const char *version;
};

struct media;

/* Opens a store per thread that needs one and starts them. The texts of settings are borrowed until
 * close. Outcomes of store_open. */
enum status media_open(const struct media_settings *settings, struct media **out);
/* Lets running tasks end, forgets waiting ones (their pictures are in the spool), joins the
 * threads. */
void media_close(struct media **media);

/* An empty task of a kind; NULL without memory (fail() called). */
struct media_task *media_task(enum media_kind kind, const char *id, uint64_t fence);
void media_task_close(struct media_task **task);

/* Takes the task over. */
void media_send(struct media *media, struct media_task *task);
/* Its FETCH, if one waits or is under way, comes back soon: what it fetches is given up. */
void media_abandon(struct media *media, const char *id, uint64_t fence);
/* The next finished task, NULL when there is none now; the caller closes it or sends it again. */
struct media_task *media_take(struct media *media);
/* A descriptor that is readable while a finished task waits. */
int media_descriptor(const struct media *media);

#endif
