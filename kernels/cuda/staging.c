/* staging.c - the ring through which the host's bytes reach the device.
 *
 * A copy from ordinary memory either waits for all work before it or is staged by the driver at
 * its own pace. So bytes are copied into pinned memory first, and go from there when their queue
 * comes to it. A piece of the ring is used again when the event behind its copy has passed, the
 * oldest first: places are counted on for ever (the memory is at their remainder), so that the
 * ring is full when the newest piece would end more than its length behind the beginning of the
 * oldest.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/progress.h"
#include "kernels/cuda/cuda.h"

#define STAGING_BYTES ((size_t)32 << 20)
#define STAGING_PIECE_BYTES ((size_t)4 << 20) /* a larger copy goes in several */
#define STAGING_PIECES_MAX 512                /* on their way at once */
_Static_assert(STAGING_BYTES >= 4 * STAGING_PIECE_BYTES, "copying in and out overlap");
_Static_assert(sizeof(struct batch_table) <= STAGING_PIECE_BYTES, "a turn's table is one piece");
_Static_assert(STAGING_PIECES_MAX >= 4 * BATCH_ROWS_MAX,
               "two turns that upload something for each row do not wait for one another");

struct staging {
  char *memory;
  uint64_t next;          /* place of the next piece */
  uint64_t begun, passed; /* pieces given out, and those of them that may be used again */
  uint64_t place[STAGING_PIECES_MAX];    /* of piece i at i % STAGING_PIECES_MAX, and so on */
  cudaEvent_t event[STAGING_PIECES_MAX]; /* behind its copy */
};

static void close_events(struct staging *staging) {
  for (int i = 0; i < STAGING_PIECES_MAX; i++) {
    if (staging->event[i] != NULL) {
      (void)cudaEventDestroy(staging->event[i]);
    }
  }
}

void staging_close(struct staging **pointer) {
  if (pointer == NULL || *pointer == NULL) {
    return;
  }
  close_events(*pointer);
  if ((*pointer)->memory != NULL) {
    (void)cudaFreeHost((*pointer)->memory);
  }
  free(*pointer);
  *pointer = NULL;
}

static enum status fill_staging(struct cuda *cuda, struct staging *staging) {
  void *memory = NULL;
  TRY(CUDA(cuda, cudaHostAlloc(&memory, STAGING_BYTES, cudaHostAllocDefault)));
  staging->memory = memory;
  for (int i = 0; i < STAGING_PIECES_MAX; i++) {
    TRY(CUDA(cuda, cudaEventCreateWithFlags(&staging->event[i],
                                            cudaEventDisableTiming | cudaEventBlockingSync)));
  }
  return OK;
}

enum status staging_open(struct cuda *cuda, struct staging **out) {
  struct staging *staging = calloc(1, sizeof *staging);
  if (staging == NULL) {
    return fail(EXHAUSTED, "no memory for a device");
  }
  enum status status = fill_staging(cuda, staging);
  if (status != OK) {
    staging_close(&staging);
    return status;
  }
  *out = staging;
  return OK;
}

/* Waits until the oldest piece may be used again. */
static enum status retire_oldest(struct cuda *cuda, struct staging *staging) {
  TRY(CUDA(cuda, cudaEventSynchronize(staging->event[staging->passed % STAGING_PIECES_MAX])));
  staging->passed++;
  return OK;
}

/* A place for a piece, which lies in one piece of memory. */
static enum status begin_piece(struct cuda *cuda, size_t bytes, uint64_t *place) {
  struct staging *staging = cuda->staging;
  uint64_t at = staging->next;
  if (at % STAGING_BYTES + bytes > STAGING_BYTES) {
    at += STAGING_BYTES - at % STAGING_BYTES;
  }
  while (staging->passed < staging->begun &&
         (staging->begun - staging->passed == STAGING_PIECES_MAX ||
          at + bytes - staging->place[staging->passed % STAGING_PIECES_MAX] > STAGING_BYTES)) {
    TRY(retire_oldest(cuda, staging));
  }
  *place = at;
  return OK;
}

static enum status put_piece(struct cuda *cuda, char *to, const char *host, size_t bytes) {
  struct staging *staging = cuda->staging;
  uint64_t place = 0;
  TRY(begin_piece(cuda, bytes, &place));
  char *at = staging->memory + place % STAGING_BYTES;
  size_t slot = staging->begun % STAGING_PIECES_MAX;
  memcpy(at, host, bytes);
  TRY(CUDA(cuda, cudaMemcpyAsync(to, at, bytes, cudaMemcpyHostToDevice, cuda_stream(cuda))));
  TRY(CUDA(cuda, cudaEventRecord(staging->event[slot], cuda_stream(cuda))));
  staging->place[slot] = place;
  staging->next = place + bytes;
  staging->begun++;
  return OK;
}

enum status staging_put(struct cuda *cuda, void *to, const void *host, size_t bytes) {
  assert(!cuda->capturing); /* a replay would find other bytes in the ring */
  for (size_t at = 0; at < bytes; at += STAGING_PIECE_BYTES) {
    size_t piece = bytes - at < STAGING_PIECE_BYTES ? bytes - at : STAGING_PIECE_BYTES;
    TRY(put_piece(cuda, (char *)to + at, (const char *)host + at, piece));
    progress_count();
  }
  return OK;
}
