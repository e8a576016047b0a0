/* graph.cpp - work captured from streams as a graph, and graphs queued as work again: their nodes one
 * by one, in an order of the dice's that the graph allows.
 */
#include <algorithm>

#include "tests/emulation/machine.h"

struct CUgraph_st {
  std::vector<emulation::Node> nodes;
};
struct CUgraphExec_st {
  std::vector<emulation::Node> nodes;
};

namespace emulation {

static std::vector<Capture *> captures;
void forget_capture(const Capture *capture); /* event.cpp */

static Dice &graph_dice() {
  static Dice dice(5);
  return dice;
}

bool forbidden_by_capture() {
  bool forbidden = false;
  for (Capture *capture : captures) {
    if (capture->mode != cudaStreamCaptureModeRelaxed) {
      forbidden = capture->invalid = true;
    }
  }
  return forbidden;
}

bool forbidden_on_legacy() {
  bool forbidden = false;
  for (Capture *capture : captures) {
    if ((capture->origin->flags & cudaStreamNonBlocking) == 0) {
      forbidden = capture->invalid = true;
    }
  }
  return forbidden;
}

cudaError_t capture_node(const std::shared_ptr<Stream> &stream, std::function<void()> run) {
  Capture *capture = stream->capture;
  if (capture->invalid) {
    return outcome(cudaErrorStreamCaptureInvalidated);
  }
  capture->nodes.push_back({std::move(run), stream->frontier});
  stream->frontier = {static_cast<int>(capture->nodes.size()) - 1};
  return cudaSuccess;
}

cudaError_t capture_join(const std::shared_ptr<Stream> &stream, Capture *capture,
                         const std::vector<int> &frontier) {
  if (stream->legacy || (stream->capture != nullptr && stream->capture != capture)) {
    capture->invalid = true;
    return outcome(stream->legacy ? cudaErrorStreamCaptureImplicit : cudaErrorStreamCaptureMerge);
  }
  if (stream->capture == nullptr) {
    stream->capture = capture;
    stream->frontier.clear();
    capture->streams.push_back(stream);
  }
  for (int node : frontier) {
    if (std::count(stream->frontier.begin(), stream->frontier.end(), node) == 0) {
      stream->frontier.push_back(node);
    }
  }
  return cudaSuccess;
}

/* All that other streams have added must lead back to the first. */
static bool all_joined(const Capture &capture) {
  std::vector<bool> reached(capture.nodes.size());
  std::vector<int> left = capture.origin->frontier;
  while (!left.empty()) {
    int node = left.back();
    left.pop_back();
    if (!reached[static_cast<size_t>(node)]) {
      reached[static_cast<size_t>(node)] = true;
      const auto &after = capture.nodes[static_cast<size_t>(node)].after;
      left.insert(left.end(), after.begin(), after.end());
    }
  }
  return std::all_of(reached.begin(), reached.end(), [](bool there) { return there; });
}

static void end_capture(Capture *capture) {
  for (const auto &stream : capture->streams) {
    stream->capture = nullptr;
    stream->frontier.clear();
  }
  captures.erase(std::find(captures.begin(), captures.end(), capture));
  forget_capture(capture);
  delete capture;
}

/* Any order in which each node comes behind those that it follows; as captured in natural order. */
static std::vector<size_t> some_order(const std::vector<Node> &nodes) {
  std::vector<size_t> order, able;
  std::vector<size_t> missing(nodes.size());
  for (size_t n = 0; n < nodes.size(); n++) {
    missing[n] = nodes[n].after.size();
    if (missing[n] == 0) {
      able.push_back(n);
    }
  }
  while (!able.empty()) {
    auto next = settings().seed == 0
                    ? std::min_element(able.begin(), able.end())
                    : able.begin() + static_cast<ptrdiff_t>(graph_dice().below(able.size()));
    size_t node = *next;
    able.erase(next);
    order.push_back(node);
    for (size_t n = node + 1; n < nodes.size(); n++) {
      const auto &after = nodes[n].after;
      if (std::count(after.begin(), after.end(), static_cast<int>(node)) != 0 &&
          --missing[n] == 0) {
        able.push_back(n);
      }
    }
  }
  return order;
}

}  // namespace emulation

using namespace emulation;

cudaError_t cudaStreamBeginCapture(cudaStream_t handle, enum cudaStreamCaptureMode mode) {
  Entry entry;
  auto stream = stream_of(handle);
  if (stream == nullptr) {
    return outcome(cudaErrorInvalidResourceHandle);
  }
  if (broken() != cudaSuccess) {
    return broken();
  }
  if (stream->legacy || stream->capture != nullptr) {
    return outcome(stream->legacy ? cudaErrorStreamCaptureUnsupported : cudaErrorInvalidValue);
  }
  stream->capture = new Capture{stream, mode, {stream}, {}, false};
  stream->frontier.clear();
  captures.push_back(stream->capture);
  return cudaSuccess;
}

cudaError_t cudaStreamEndCapture(cudaStream_t handle, cudaGraph_t *out) {
  Entry entry;
  auto stream = stream_of(handle);
  if (stream == nullptr) {
    return outcome(cudaErrorInvalidResourceHandle);
  }
  *out = nullptr;
  Capture *capture = stream->capture;
  if (capture == nullptr || capture->origin != stream) {
    return outcome(capture == nullptr ? cudaErrorInvalidValue : cudaErrorStreamCaptureUnmatched);
  }
  bool invalid = capture->invalid, joined = all_joined(*capture);
  auto nodes = std::move(capture->nodes);
  end_capture(capture);
  if (invalid || !joined) {
    return outcome(invalid ? cudaErrorStreamCaptureInvalidated : cudaErrorStreamCaptureUnjoined);
  }
  *out = new CUgraph_st{std::move(nodes)};
  return broken();
}

cudaError_t cudaStreamIsCapturing(cudaStream_t handle, enum cudaStreamCaptureStatus *out) {
  Entry entry;
  auto stream = stream_of(handle);
  if (stream == nullptr) {
    return outcome(cudaErrorInvalidResourceHandle);
  }
  const Capture *capture = stream->capture;
  *out = capture == nullptr ? cudaStreamCaptureStatusNone
         : capture->invalid ? cudaStreamCaptureStatusInvalidated
                            : cudaStreamCaptureStatusActive;
  return cudaSuccess;
}

cudaError_t cudaThreadExchangeStreamCaptureMode(enum cudaStreamCaptureMode *mode) {
  static thread_local cudaStreamCaptureMode of_thread = cudaStreamCaptureModeGlobal;
  std::swap(*mode, of_thread);
  return cudaSuccess;
}

cudaError_t cudaGraphInstantiate(cudaGraphExec_t *out, cudaGraph_t graph, unsigned long long) {
  Entry entry;
  if (broken() != cudaSuccess) {
    return broken();
  }
  if (fault_strikes(Fault::graph)) {
    return outcome(cudaErrorMemoryAllocation);
  }
  *out = new CUgraphExec_st{graph->nodes};
  return cudaSuccess;
}

cudaError_t cudaGraphUpload(cudaGraphExec_t graph, cudaStream_t) {
  Entry entry;
  return graph == nullptr ? outcome(cudaErrorInvalidValue) : broken();
}

cudaError_t cudaGraphLaunch(cudaGraphExec_t graph, cudaStream_t handle) {
  Entry entry;
  auto stream = stream_of(handle);
  if (stream == nullptr || graph == nullptr) {
    return outcome(cudaErrorInvalidResourceHandle);
  }
  if (broken() != cudaSuccess) {
    return broken();
  }
  for (size_t node : some_order(graph->nodes)) {
    cudaError_t error = enqueue(stream, graph->nodes[node].run);
    if (error != cudaSuccess) {
      return error;
    }
  }
  return cudaSuccess;
}

cudaError_t cudaGraphExecDestroy(cudaGraphExec_t graph) {
  Entry entry;
  delete graph; /* what was queued of it holds its own copy */
  return broken();
}
cudaError_t cudaGraphDestroy(cudaGraph_t graph) {
  Entry entry;
  delete graph;
  return broken();
}

cudaError_t cudaGraphGetNodes(cudaGraph_t graph, cudaGraphNode_t *nodes, size_t *count) {
  Entry entry;
  if (nodes != nullptr) {
    return outcome(cudaErrorNotSupported);
  }
  *count = graph->nodes.size();
  return broken();
}
