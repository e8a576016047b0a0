/* sequence.c - sequences kept as graphs, so that a thousand launches cost the host one.
 *
 * The first time a sequence runs as it is: libraries choose their algorithms then, and kernels are
 * loaded, which a capture would not bear. The second time its launches are captured instead of run,
 * made into a graph, and that is launched; from then on only the graph. The kernels and their order
 * are the same, so are the bits. A sequence that cannot be captured runs as it is for good.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/cuda/cuda.h"

enum state { STATE_NONE, STATE_SEEN, STATE_GRAPH, STATE_PLAIN };

/* Addresses of a queue's scratch are in the graph, so the queue is part of the key. */
struct kept {
  enum state state;
  enum queue queue;
  uint64_t key[4];
  uint64_t used;         /* count of calls at its last one */
  cudaGraphExec_t graph; /* STATE_GRAPH */
  cudaEvent_t launched;  /* behind its last launch */
};

struct sequences {
  uint64_t calls;
  struct kept kept[SEQUENCES_MAX];
};

enum status sequences_open(struct sequences **out) {
  struct sequences *sequences = calloc(1, sizeof *sequences);
  if (sequences == NULL) {
    return fail(EXHAUSTED, "no memory for a device");
  }
  *out = sequences;
  return OK;
}

/* A graph must not go while it runs. Whatever fails here was told by the launch, or will be by the
 * next call. */
static void forget_kept(struct kept *kept) {
  if (kept->state == STATE_GRAPH) {
    (void)cudaEventSynchronize(kept->launched);
    (void)cudaGraphExecDestroy(kept->graph);
    (void)cudaEventDestroy(kept->launched);
  }
  memset(kept, 0, sizeof *kept);
}

void cuda_forget(struct device *device) {
  struct cuda *cuda = cuda_of(device);
  for (int i = 0; i < SEQUENCES_MAX; i++) {
    forget_kept(&cuda->sequences->kept[i]);
  }
}

void sequences_close(struct cuda *cuda) {
  if (cuda->sequences != NULL) {
    cuda_forget(&cuda->head);
    free(cuda->sequences);
    cuda->sequences = NULL;
  }
}

static struct kept *find_kept(struct cuda *cuda, const struct sequence *sequence) {
  for (int i = 0; i < SEQUENCES_MAX; i++) {
    struct kept *kept = &cuda->sequences->kept[i];
    if (kept->state != STATE_NONE && kept->queue == cuda->queue &&
        memcmp(kept->key, sequence->key, sizeof kept->key) == 0) {
      return kept;
    }
  }
  return NULL;
}

/* An empty place, or that of the one not called for longest. */
static struct kept *make_place(struct sequences *sequences) {
  struct kept *oldest = &sequences->kept[0];
  for (int i = 1; i < SEQUENCES_MAX; i++) {
    if (sequences->kept[i].used < oldest->used) {
      oldest = &sequences->kept[i];
    }
  }
  forget_kept(oldest);
  return oldest;
}

/* Its graph, while nothing of it runs. */
static enum status capture(struct cuda *cuda, const struct sequence *sequence,
                           cudaGraphExec_t *out) {
  cudaGraph_t graph = NULL;
  cudaGraphExec_t made = NULL;
  TRY(CUDA(cuda, cudaStreamBeginCapture(cuda_stream(cuda), cudaStreamCaptureModeRelaxed)));
  enum status status = sequence->queue(sequence->context);
  enum status ended = CUDA(cuda, cudaStreamEndCapture(cuda_stream(cuda), &graph));
  status = status != OK ? status : ended;
  if (status == OK) {
    status = CUDA(cuda, cudaGraphInstantiate(&made, graph, 0));
  }
  if (graph != NULL) {
    (void)cudaGraphDestroy(graph);
  }
  TRY(status);
  *out = made;
  return OK;
}

static enum status keep(struct cuda *cuda, const struct sequence *sequence, struct kept *kept) {
  TRY(CUDA(cuda, cudaEventCreateWithFlags(&kept->launched, cudaEventDisableTiming)));
  enum status status = capture(cuda, sequence, &kept->graph);
  if (status != OK) {
    (void)cudaEventDestroy(kept->launched);
    return status;
  }
  kept->state = STATE_GRAPH;
  return OK;
}

static enum status launch(struct cuda *cuda, struct kept *kept) {
  TRY(CUDA(cuda, cudaGraphLaunch(kept->graph, cuda_stream(cuda))));
  return CUDA(cuda, cudaEventRecord(kept->launched, cuda_stream(cuda)));
}

/* New shapes want new plans: of what the libraries keep too much is kept. Graphs hold its
 * kernels. */
static enum status make_room_for_plans(struct cuda *cuda) {
  if (cuda->library == NULL || !library_is_full(cuda->library)) {
    return OK;
  }
  TRY(cuda_wait(&cuda->head));
  cuda_forget(&cuda->head);
  library_forget(cuda->library);
  return OK;
}

enum status cuda_sequence(struct device *device, const struct sequence *sequence) {
  struct cuda *cuda = cuda_of(device);
  assert(!cuda->capturing); /* none within another */
  struct kept *kept = find_kept(cuda, sequence);
  uint64_t call = ++cuda->sequences->calls;
  if (kept == NULL) {
    TRY(make_room_for_plans(cuda));
    TRY(sequence->queue(sequence->context));
    kept = make_place(cuda->sequences);
    *kept = (struct kept){.state = STATE_SEEN, .queue = cuda->queue, .used = call};
    memcpy(kept->key, sequence->key, sizeof kept->key);
    return OK;
  }
  kept->used = call;
  if (kept->state == STATE_SEEN) {
    kept->state = STATE_PLAIN;
    cuda->capturing = true;
    (void)keep(cuda, sequence, kept); /* what it could not do, the call below does or tells */
    cuda->capturing = false;
  }
  return kept->state == STATE_GRAPH ? launch(cuda, kept) : sequence->queue(sequence->context);
}
