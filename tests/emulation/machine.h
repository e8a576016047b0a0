/* machine.h - what the parts of the emulation know of one another. */
#ifndef DARKROOM_EMULATION_MACHINE_H
#define DARKROOM_EMULATION_MACHINE_H

#include <cuda_runtime.h>

#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <vector>

#include "tests/emulation/settings.h"

namespace emulation {

/* ---- errors (error.cpp) ---- */

/* Every function of the API is entered by one thread at a time. */
class Entry {
 public:
  Entry();

 private:
  std::lock_guard<std::recursive_mutex> held;
};
/* Remembers an error for cudaGetLastError, and gives it back. */
cudaError_t outcome(cudaError_t error);
/* What broke a device for good: every later call answers with it. */
cudaError_t broken();
void break_device(cudaError_t error);

/* ---- kernels (block.cpp) ---- */

struct Shape {
  dim3 grid, block;
  size_t shared_bytes;
};
void run_kernel(const Shape &shape, const std::function<void()> &thread);

/* ---- memory (memory.cpp) ---- */

enum class Kind { pageable, pinned, device };
struct Region {
  Kind kind;
  int device;
  char *first; /* of the block that the address lies in; NULL if pageable */
  size_t bytes;
};
Region region_of(const void *address);
/* While one is alive the device's memory can be touched; otherwise that ends the program. */
class Opened {
 public:
  explicit Opened(int device);
  ~Opened();

 private:
  int device;
};

/* ---- streams (stream.cpp) ---- */

struct Stream;
/* A place in a stream: behind its first `ticket` operations. */
struct Point {
  std::shared_ptr<Stream> stream;
  uint64_t ticket;
};
struct Operation {
  std::function<void()> run;
  std::vector<Point> needs;
  uint64_t order; /* among all operations of the process */
  bool hangs;     /* has begun and never ends */
};
struct Capture;
struct Stream {
  int device;
  unsigned flags;
  int priority;
  bool legacy;
  uint64_t issued, done;
  std::deque<Operation> waiting;
  Capture *capture;          /* NULL: not captured */
  std::vector<int> frontier; /* nodes of the capture that its next one follows */
};
int current_device();
/* NULL is the device's legacy stream; nullptr for a stream that does not exist. */
std::shared_ptr<Stream> stream_of(cudaStream_t stream);
/* Puts work behind the stream's, or into the graph that is being captured from it. */
cudaError_t enqueue(const std::shared_ptr<Stream> &stream, std::function<void()> run,
                    std::vector<Point> needs = {});
/* Runs operations of any stream, in an order of the dice's, until the point has passed. */
cudaError_t run_until(const Point &point);
/* Runs some, as a host that looks in now and then would find done. */
void run_some();
/* Said by the operation that runs: it is never done. */
void never_end();
bool passed(const Point &point);
cudaError_t run_everything();

/* ---- captures (graph.cpp) ---- */

struct Node {
  std::function<void()> run;
  std::vector<int> after;
};
struct Capture {
  std::shared_ptr<Stream> origin;
  cudaStreamCaptureMode mode;
  std::vector<std::shared_ptr<Stream>> streams;
  std::vector<Node> nodes;
  bool invalid;
};
cudaError_t capture_node(const std::shared_ptr<Stream> &stream, std::function<void()> run);
/* The stream goes on behind what an event has captured. */
cudaError_t capture_join(const std::shared_ptr<Stream> &stream, Capture *capture,
                         const std::vector<int> &frontier);
/* Whether some capture forbids a call that waits or takes memory; it is invalid afterwards. */
bool forbidden_by_capture();
/* Whether a call on the legacy stream would be drawn into a capture. */
bool forbidden_on_legacy();

}  // namespace emulation

#endif
