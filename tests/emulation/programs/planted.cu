/* planted.cu - one mistake of each kind beside the same thing done right, for
 * tests/emulation/test_planted.py: `planted NAME right|wrong` prints what came out.
 */
#include <cuda_runtime.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace {

constexpr int COUNT = 256;

#define CHECK(call)                                             \
  do {                                                          \
    cudaError_t check_error = (call);                           \
    if (check_error != cudaSuccess) {                           \
      printf("%s: %s\n", #call, cudaGetErrorName(check_error)); \
      exit(1);                                                  \
    }                                                           \
  } while (0)

template <typename... Parameters, typename... Arguments>
void launch(cudaStream_t stream, int threads, void (*kernel)(Parameters...),
            Arguments... arguments) {
  cudaLaunchConfig_t config = {};
  config.gridDim = dim3(2);
  config.blockDim = dim3(static_cast<unsigned>(threads));
  config.stream = stream;
  CHECK(cudaLaunchKernelEx(&config, kernel, arguments...));
}

struct Bench {
  int *values, *pinned; /* on the device, on the host: COUNT each */
  cudaStream_t stream, other;
  cudaEvent_t event;
  bool right;
};

Bench bench_open(bool right) {
  Bench b = {};
  b.right = right;
  CHECK(cudaMalloc(&b.values, COUNT * sizeof(int)));
  CHECK(cudaMallocHost(&b.pinned, COUNT * sizeof(int)));
  CHECK(cudaStreamCreateWithFlags(&b.stream, cudaStreamNonBlocking));
  CHECK(cudaStreamCreateWithFlags(&b.other, cudaStreamNonBlocking));
  CHECK(cudaEventCreateWithFlags(&b.event, cudaEventDisableTiming));
  for (int i = 0; i < COUNT; i++) {
    b.pinned[i] = i;
  }
  return b;
}

void fetch(const Bench &b, cudaStream_t stream) {
  CHECK(cudaMemcpyAsync(b.pinned, b.values, COUNT * sizeof(int), cudaMemcpyDeviceToHost, stream));
}
void wait_for(cudaStream_t stream) { CHECK(cudaStreamSynchronize(stream)); }

void show(const int *values) {
  unsigned long long sum = 0;
  for (int i = 0; i < COUNT; i++) {
    sum = sum * 1099511628211u + static_cast<unsigned>(values[i]); /* order counts */
  }
  printf("%016llx\n", sum);
}

/* ---- in a block ---- */

__global__ void reverse(int *values, int right) {
  __shared__ int part[COUNT / 2];
  int own = static_cast<int>(threadIdx.x), last = static_cast<int>(blockDim.x) - 1;
  int *mine = values + blockIdx.x * blockDim.x;
  part[own] = own * own;
  if (right != 0) {
    __syncthreads();
  }
  mine[own] = part[last - own];
}

/* A tile is filled again and again: the second barrier keeps the fast from overrunning the slow. */
__global__ void shift(int *values, int right) {
  __shared__ int tile[COUNT / 2];
  unsigned own = threadIdx.x, next = (own + 1) % blockDim.x;
  int sum = 0;
  for (int round = 0; round < 4; round++) {
    tile[own] = static_cast<int>(own) * (round + 1);
    __syncthreads();
    sum += tile[next];
    if (right != 0) {
      __syncthreads();
    }
  }
  values[blockIdx.x * blockDim.x + own] = sum;
}

__global__ void pass_in_warp(int *values, int right) {
  __shared__ int part[COUNT / 2];
  unsigned own = threadIdx.x;
  part[own] = static_cast<int>(own) + 7;
  if (right != 0) {
    __syncwarp();
  }
  values[blockIdx.x * blockDim.x + own] = part[own ^ 1];
}

__global__ void copy_ahead(const int *from, int *values, int right) {
  __shared__ int part[COUNT / 2];
  unsigned own = threadIdx.x;
  emulation::async_copy(&part[own], &from[own], 4, 4);
  emulation::async_commit();
  if (right != 0) {
    emulation::async_wait(0);
  }
  values[blockIdx.x * blockDim.x + own] = part[own];
}

__global__ void meet_unevenly(int *values, int right) {
  if (right != 0 || threadIdx.x % 3 != 0) {
    __syncthreads();
  }
  values[blockIdx.x * blockDim.x + threadIdx.x] = 1;
}

__global__ void shuffle_unevenly(int *values, int right) {
  int own = static_cast<int>(threadIdx.x);
  if (right != 0 || own % 2 == 0) {
    own = __shfl_xor_sync(0xffffffffu, own, 2);
  } else {
    own = __shfl_xor_sync(0xffffffffu, own, 4);
  }
  values[blockIdx.x * blockDim.x + threadIdx.x] = own;
}

__global__ void fill(int *values, int value) {
  values[blockIdx.x * blockDim.x + threadIdx.x] = value;
}
__global__ void double_up(int *values) { values[blockIdx.x * blockDim.x + threadIdx.x] *= 2; }
__global__ void overrun(int *values, int right) {
  values[blockIdx.x * blockDim.x + threadIdx.x + (right != 0 ? 0u : 1u)] = 1;
}
__global__ void overrun_shared(int *values, int right) {
  __shared__ int part[COUNT / 2];
  part[threadIdx.x + (right != 0 ? 0u : 1u)] = 5;
  values[blockIdx.x * blockDim.x + threadIdx.x] = part[threadIdx.x];
}
__global__ void wide_load(int *values, int right) {
  if (threadIdx.x == 0 && blockIdx.x == 0) {
    int4 four = *reinterpret_cast<const int4 *>(values + (right != 0 ? 4 : 1));
    values[0] = four.x;
  }
}

void run(const Bench &b, void (*kernel)(int *, int)) {
  CHECK(cudaMemcpyAsync(b.values, b.pinned, COUNT * sizeof(int), cudaMemcpyHostToDevice, b.stream));
  launch(b.stream, COUNT / 2, kernel, b.values, b.right ? 1 : 0);
  fetch(b, b.stream);
  wait_for(b.stream);
  show(b.pinned);
}

void barrier(Bench *b) { run(*b, reverse); }
void second_barrier(Bench *b) { run(*b, shift); }
void warp(Bench *b) { run(*b, pass_in_warp); }
void uneven_barrier(Bench *b) { run(*b, meet_unevenly); }
void uneven_shuffle(Bench *b) { run(*b, shuffle_unevenly); }
void end_of_memory(Bench *b) { run(*b, overrun); }
void end_of_shared(Bench *b) { run(*b, overrun_shared); }
void misaligned(Bench *b) { run(*b, wide_load); }

void copy_wait(Bench *b) {
  int *from;
  CHECK(cudaMalloc(&from, COUNT * sizeof(int)));
  CHECK(cudaMemcpyAsync(from, b->pinned, COUNT * sizeof(int), cudaMemcpyHostToDevice, b->stream));
  launch(b->stream, COUNT / 2, copy_ahead, static_cast<const int *>(from), b->values,
         b->right ? 1 : 0);
  fetch(*b, b->stream);
  wait_for(b->stream);
  show(b->pinned);
}

/* ---- between streams and the host ---- */

void stream_wait(Bench *b) {
  for (int i = 0; i < 3; i++) {
    launch(b->stream, COUNT / 2, fill, b->values, 11 + i);
  }
  CHECK(cudaEventRecord(b->event, b->stream));
  if (b->right) {
    CHECK(cudaStreamWaitEvent(b->other, b->event, 0));
  }
  launch(b->other, COUNT / 2, double_up, b->values);
  fetch(*b, b->other);
  wait_for(b->other);
  wait_for(b->stream);
  show(b->pinned);
}

void host_wait(Bench *b) {
  launch(b->stream, COUNT / 2, fill, b->values, 23);
  fetch(*b, b->stream);
  if (b->right) {
    wait_for(b->stream);
  }
  show(b->pinned);
  wait_for(b->stream);
}

/* What a copy reads is written again before the copy was made. */
void early_reuse(Bench *b) {
  CHECK(cudaMemcpyAsync(b->values, b->pinned, COUNT * sizeof(int), cudaMemcpyHostToDevice,
                        b->stream));
  if (b->right) {
    wait_for(b->stream);
  }
  memset(b->pinned, 0, COUNT * sizeof(int));
  fetch(*b, b->stream);
  wait_for(b->stream);
  show(b->pinned);
}

void never_written(Bench *b) {
  if (b->right) {
    launch(b->stream, COUNT / 2, fill, b->values, 2);
  }
  fetch(*b, b->stream);
  wait_for(b->stream);
  printf("%s\n", b->pinned[5] == 2 ? "two" : b->pinned[5] == -1 ? "poison" : "something");
}

void host_touches(Bench *b) {
  launch(b->stream, COUNT / 2, fill, b->values, 3);
  wait_for(b->stream);
  const int *from = b->values;
  if (b->right) {
    fetch(*b, b->stream);
    wait_for(b->stream);
    from = b->pinned;
  }
  printf("%d\n", from[0]);
}

void host_pointer(Bench *b) {
  int *heap = static_cast<int *>(calloc(COUNT, sizeof(int)));
  launch(b->stream, COUNT / 2, fill, b->right ? b->pinned : heap, 4);
  wait_for(b->stream);
  printf("%d\n", b->pinned[1]);
  free(heap);
}

const struct {
  const char *name;
  void (*run)(Bench *b);
} stories[] = {
    {"barrier", barrier},
    {"second_barrier", second_barrier},
    {"warp", warp},
    {"copy_wait", copy_wait},
    {"uneven_barrier", uneven_barrier},
    {"uneven_shuffle", uneven_shuffle},
    {"end_of_memory", end_of_memory},
    {"end_of_shared", end_of_shared},
    {"misaligned", misaligned},
    {"stream_wait", stream_wait},
    {"host_wait", host_wait},
    {"early_reuse", early_reuse},
    {"never_written", never_written},
    {"host_touches", host_touches},
    {"host_pointer", host_pointer},
};

}  // namespace

int main(int count, char **words) {
  for (const auto &story : stories) {
    if (count == 3 && strcmp(words[1], story.name) == 0) {
      Bench b = bench_open(strcmp(words[2], "right") == 0);
      story.run(&b);
      CHECK(cudaFree(b.values));
      CHECK(cudaFreeHost(b.pinned));
      return 0;
    }
  }
  fprintf(stderr, "planted NAME right|wrong\n");
  return 2;
}
