/* runtime.cu - the emulated runtime keeps to CUDA: memory, streams, events, graphs, launches.
 */
#include "tests/emulation/programs/bench.cuh"

namespace {

/* ---- memory ---- */

void test_new_memory_is_nan_and_is_counted(void **) {
  size_t before, after, total;
  float host[4];
  void *block;
  OK(cudaMemGetInfo(&before, &total));
  for (int round = 0; round < 2; round++) {
    OK(cudaMalloc(&block, 1 << 20));
    OK(cudaMemcpy(host, block, sizeof host, cudaMemcpyDeviceToHost));
    assert_true(host[0] != host[0] && host[3] != host[3]);
    OK(cudaMemset(block, 0, 1 << 20));
    OK(cudaMemGetInfo(&after, &total));
    assert_int_equal(before - after, 1 << 20);
    OK(cudaFree(block));
  }
  OK(cudaMemGetInfo(&after, &total));
  assert_int_equal(before, after);
  FAILS(cudaErrorMemoryAllocation, cudaMalloc(&block, total + 1));
  OK(cudaMalloc(&block, total));
  OK(cudaFree(block));
  FAILS(cudaErrorInvalidValue, cudaFree(&total));
}

void test_a_full_device_has_no_more(void **) {
  std::vector<void *> blocks;
  void *block;
  size_t left, total;
  while (cudaMalloc(&block, 8 << 20) == cudaSuccess) {
    blocks.push_back(block);
  }
  OK(cudaMemGetInfo(&left, &total));
  assert_true(left < 8 << 20);
  OK(cudaFree(blocks[1])); /* a hole */
  OK(cudaMalloc(&blocks[1], 8 << 20));
  for (void *taken : blocks) {
    OK(cudaFree(taken));
  }
  (void)cudaGetLastError();
}

void test_copies_say_where_to(void **) {
  char host[16];
  char *block, *pinned;
  cudaPointerAttributes told;
  OK(cudaMalloc(&block, 16));
  OK(cudaMallocHost(&pinned, 16));
  FAILS(cudaErrorInvalidValue, cudaMemcpy(host, block, 16, cudaMemcpyHostToDevice));
  FAILS(cudaErrorInvalidValue, cudaMemcpy(block + 1, host, 16, cudaMemcpyHostToDevice));
  FAILS(cudaErrorInvalidValue, cudaMemset(host, 0, 16));
  OK(cudaMemcpy(block, host, 16, cudaMemcpyDefault));
  OK(cudaPointerGetAttributes(&told, block + 3));
  assert_int_equal(told.type, cudaMemoryTypeDevice);
  OK(cudaPointerGetAttributes(&told, pinned));
  assert_int_equal(told.type, cudaMemoryTypeHost);
  OK(cudaPointerGetAttributes(&told, host));
  assert_int_equal(told.type, cudaMemoryTypeUnregistered);
  OK(cudaFree(block));
  OK(cudaFreeHost(pinned));
}

/* ---- streams and events ---- */

void test_pageable_memory_is_read_during_the_call(void **) {
  Two two;
  int host[COUNT];
  for (int i = 0; i < COUNT; i++) {
    host[i] = i;
  }
  OK(cudaMemcpyAsync(two.values, host, sizeof host, cudaMemcpyHostToDevice, two.a));
  memset(host, 0, sizeof host);
  OK(cudaMemcpyAsync(host, two.values, sizeof host, cudaMemcpyDeviceToHost, two.a));
  assert_int_equal(host[9], 9);
}

void test_an_event_passes_when_all_before_it_has_run(void **) {
  Two two;
  OK(cudaEventQuery(two.event)); /* never recorded */
  two.start(two.a, set_all, 7);
  OK(cudaEventRecord(two.event, two.a));
  cudaError_t asked = cudaEventQuery(two.event);
  assert_true(asked == cudaSuccess || asked == cudaErrorNotReady);
  for (int i = 0; asked == cudaErrorNotReady && i < 10000; i++) {
    asked = cudaEventQuery(two.event);
  }
  OK(asked);
  assert_int_equal(two.fetched(5), 7);
  OK(cudaGetLastError()); /* not ready is no error */
}

void test_streams_follow_events(void **) {
  Two two;
  for (int round = 0; round < 50; round++) {
    two.start(two.a, set_all, round);
    OK(cudaEventRecord(two.event, two.a));
    OK(cudaStreamWaitEvent(two.b, two.event, 0));
    two.start(two.b, add_to_all, 1000);
    OK(cudaEventRecord(two.back, two.b));
    OK(cudaStreamWaitEvent(two.a, two.back, 0));
    two.start(two.a, add_to_all, 10000);
  }
  OK(cudaStreamSynchronize(two.a));
  assert_int_equal(two.fetched(0), 11049);
}

void test_the_legacy_stream_waits_for_all_but_those_apart(void **) {
  cudaStream_t blocking;
  Two two;
  OK(cudaStreamCreate(&blocking));
  two.start(blocking, set_all, 3);
  two.start(nullptr, add_to_all, 4);
  two.start(blocking, add_to_all, 5);
  OK(cudaStreamSynchronize(blocking));
  assert_int_equal(two.fetched(1), 12);
  OK(cudaStreamDestroy(blocking));
  FAILS(cudaErrorInvalidResourceHandle, cudaStreamSynchronize(blocking));
}

void test_a_destroyed_stream_is_worked_off(void **) {
  cudaStream_t stream;
  Two two;
  OK(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking));
  two.start(stream, set_all, 77);
  OK(cudaStreamDestroy(stream));
  OK(cudaDeviceSynchronize());
  assert_int_equal(two.fetched(2), 77);
}

void count_call(void *data) { ++*static_cast<int *>(data); }
void test_host_functions_come_in_turn(void **) {
  Two two;
  int calls = 0;
  OK(cudaLaunchHostFunc(two.a, count_call, &calls));
  OK(cudaLaunchHostFunc(two.a, count_call, &calls));
  OK(cudaStreamSynchronize(two.a));
  assert_int_equal(calls, 2);
}

/* ---- graphs ---- */

cudaGraphExec_t captured(Two *two) {
  cudaGraph_t graph;
  cudaGraphExec_t kept;
  OK(cudaStreamBeginCapture(two->a, cudaStreamCaptureModeThreadLocal));
  two->start(two->a, add_to_all, 1);
  OK(cudaEventRecord(two->event, two->a));
  OK(cudaStreamWaitEvent(two->b, two->event, 0)); /* b is drawn in */
  two->start(two->b, add_to_all, 10);
  OK(cudaEventRecord(two->back, two->b));
  OK(cudaStreamWaitEvent(two->a, two->back, 0));
  two->start(two->a, add_to_all, 100);
  OK(cudaStreamEndCapture(two->a, &graph));
  size_t nodes;
  OK(cudaGraphGetNodes(graph, nullptr, &nodes));
  assert_int_equal(nodes, 3);
  OK(cudaGraphInstantiate(&kept, graph, 0));
  OK(cudaGraphDestroy(graph));
  return kept;
}

void test_a_graph_is_replayed_over_new_data(void **) {
  Two two;
  two.start(two.a, set_all, 0);
  cudaGraphExec_t graph = captured(&two);
  OK(cudaStreamSynchronize(two.a));
  assert_int_equal(two.fetched(0), 0); /* captured is not run */
  for (int i = 1; i <= 3; i++) {
    OK(cudaGraphLaunch(graph, two.a));
    OK(cudaStreamSynchronize(two.a));
    assert_int_equal(two.fetched(3), 111 * i);
    OK(cudaStreamSynchronize(two.b)); /* is its own again */
  }
  two.start(two.a, set_all, 5);
  OK(cudaGraphLaunch(graph, two.a));
  OK(cudaGraphExecDestroy(graph)); /* what was launched of it runs */
  OK(cudaStreamSynchronize(two.a));
  assert_int_equal(two.fetched(4), 116);
}

void test_branches_must_be_joined(void **) {
  Two two;
  cudaGraph_t graph;
  OK(cudaStreamBeginCapture(two.a, cudaStreamCaptureModeThreadLocal));
  OK(cudaEventRecord(two.event, two.a));
  OK(cudaStreamWaitEvent(two.b, two.event, 0));
  two.start(two.b, add_to_all, 10);
  FAILS(cudaErrorStreamCaptureUnjoined, cudaStreamEndCapture(two.a, &graph));
  assert_null(graph);
}

void test_what_a_capture_forbids(void **) {
  static const struct {
    cudaError_t (*call)(Two *two);
    cudaError_t says;
  } calls[] = {
      {[](Two *two) { return cudaStreamSynchronize(two->a); }, cudaErrorStreamCaptureUnsupported},
      {[](Two *two) { return cudaStreamQuery(two->a); }, cudaErrorStreamCaptureUnsupported},
      {[](Two *) { return cudaDeviceSynchronize(); }, cudaErrorStreamCaptureUnsupported},
      {[](Two *) {
         void *block;
         return cudaMalloc(&block, 16);
       },
       cudaErrorStreamCaptureUnsupported},
      {[](Two *two) {
         int host[COUNT] = {};
         return cudaMemcpyAsync(two->values, host, sizeof host, cudaMemcpyHostToDevice, two->a);
       },
       cudaErrorStreamCaptureUnsupported},
      {[](Two *two) {
         (void)cudaEventRecord(two->event, two->a);
         return cudaEventSynchronize(two->event);
       },
       cudaErrorCapturedEvent},
      {[](Two *two) {
         (void)cudaEventRecord(two->event, two->b); /* not of the capture */
         return cudaStreamWaitEvent(two->a, two->event, 0);
       },
       cudaErrorStreamCaptureIsolation},
  };
  for (const auto &row : calls) {
    Two two;
    cudaGraph_t graph;
    cudaStreamCaptureStatus status;
    OK(cudaStreamBeginCapture(two.a, cudaStreamCaptureModeGlobal));
    FAILS(row.says, row.call(&two));
    OK(cudaStreamIsCapturing(two.a, &status));
    assert_int_equal(status, cudaStreamCaptureStatusInvalidated);
    FAILS(cudaErrorStreamCaptureInvalidated, cudaStreamEndCapture(two.a, &graph));
    two.start(two.a, set_all, 1); /* is a stream again */
    OK(cudaStreamSynchronize(two.a));
  }
}

/* ---- launches ---- */

cudaError_t try_launch(unsigned grid_depth, unsigned threads, size_t shared) {
  cudaLaunchConfig_t config = {};
  config.gridDim = dim3(1, 1, grid_depth);
  config.blockDim = dim3(threads);
  config.dynamicSmemBytes = shared;
  cudaError_t error = cudaLaunchKernelEx(&config, fill_shared, static_cast<int *>(nullptr));
  OK(cudaDeviceSynchronize());
  return error;
}

void test_launches_have_limits(void **) {
  OK(try_launch(1, 1024, 48 << 10));
  FAILS(cudaErrorInvalidConfiguration, try_launch(1, 1025, 0));
  FAILS(cudaErrorInvalidConfiguration, try_launch(1, 0, 0));
  FAILS(cudaErrorInvalidConfiguration, try_launch(65536, 1, 0));
  FAILS(cudaErrorInvalidValue, try_launch(1, 32, (48 << 10) + 1));
  FAILS(cudaErrorInvalidValue,
        cudaFuncSetAttribute(fill_shared, cudaFuncAttributeMaxDynamicSharedMemorySize, 228 << 10));
  OK(cudaFuncSetAttribute(fill_shared, cudaFuncAttributeMaxDynamicSharedMemorySize, 227 << 10));
  OK(try_launch(1, 32, 227 << 10));
}

void test_devices_are_apart(void **) {
  int count, device;
  cudaDeviceProp first, second;
  void *block;
  size_t left, total;
  OK(cudaGetDeviceCount(&count));
  assert_int_equal(count, 2);
  OK(cudaGetDeviceProperties(&first, 0));
  OK(cudaGetDeviceProperties(&second, 1));
  assert_memory_not_equal(&first.uuid, &second.uuid, sizeof first.uuid);
  FAILS(cudaErrorInvalidDevice, cudaSetDevice(2));
  OK(cudaSetDevice(1));
  OK(cudaGetDevice(&device));
  assert_int_equal(device, 1);
  OK(cudaMalloc(&block, 1 << 20));
  OK(cudaSetDevice(0));
  OK(cudaMemGetInfo(&left, &total));
  assert_int_equal(left, total);
  OK(cudaFree(block));
}

}  // namespace

int main() {
  setenv("EMULATION_DEVICES", "2", 0);
  setenv("EMULATION_MEMORY", "67108864", 0);
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_new_memory_is_nan_and_is_counted),
      cmocka_unit_test(test_a_full_device_has_no_more),
      cmocka_unit_test(test_copies_say_where_to),
      cmocka_unit_test(test_pageable_memory_is_read_during_the_call),
      cmocka_unit_test(test_an_event_passes_when_all_before_it_has_run),
      cmocka_unit_test(test_streams_follow_events),
      cmocka_unit_test(test_the_legacy_stream_waits_for_all_but_those_apart),
      cmocka_unit_test(test_a_destroyed_stream_is_worked_off),
      cmocka_unit_test(test_host_functions_come_in_turn),
      cmocka_unit_test(test_a_graph_is_replayed_over_new_data),
      cmocka_unit_test(test_branches_must_be_joined),
      cmocka_unit_test(test_what_a_capture_forbids),
      cmocka_unit_test(test_launches_have_limits),
      cmocka_unit_test(test_devices_are_apart),
  };
  return cmocka_run_group_tests(tests, nullptr, nullptr);
}
