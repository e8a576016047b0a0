/* device.cpp - the emulated GPUs: as many as EMULATION_DEVICES says, all alike but for their names.
 */
#include <cstdio>
#include <cstring>

#include "tests/emulation/machine.h"

namespace emulation {

static thread_local int device_in_use;
int current_device() { return device_in_use; }

static bool is_device(int device) { return device >= 0 && device < settings().devices; }

static void describe(cudaDeviceProp *p, int device) {
  *p = {};
  snprintf(p->name, sizeof p->name, "Emulated GPU");
  memcpy(p->uuid.bytes, "emulated-gpu-", 13);
  p->uuid.bytes[15] = static_cast<char>(device);
  p->totalGlobalMem = settings().memory;
  p->sharedMemPerBlock = size_t{48} << 10;
  p->regsPerBlock = p->regsPerMultiprocessor = 65536;
  p->warpSize = 32;
  p->maxThreadsPerBlock = p->maxThreadsDim[0] = p->maxThreadsDim[1] = 1024;
  p->maxThreadsDim[2] = 64;
  p->maxGridSize[0] = INT32_MAX;
  p->maxGridSize[1] = p->maxGridSize[2] = 65535;
  p->totalConstMem = 65536;
  p->major = settings().capability / 10;
  p->minor = settings().capability % 10;
  p->multiProcessorCount = 4;
  p->concurrentKernels = p->unifiedAddressing = p->streamPrioritiesSupported = 1;
  p->pciBusID = device + 1;
  p->asyncEngineCount = 3;
  p->memoryBusWidth = 5120;
  p->l2CacheSize = 50 << 20;
  p->maxThreadsPerMultiProcessor = 2048;
  p->sharedMemPerMultiprocessor = size_t{228} << 10;
  p->sharedMemPerBlockOptin = size_t{227} << 10;
  p->maxBlocksPerMultiProcessor = 32;
}

}  // namespace emulation

using namespace emulation;

cudaError_t cudaGetDeviceCount(int *count) {
  Entry entry;
  *count = settings().devices;
  return *count == 0 ? outcome(cudaErrorNoDevice) : broken();
}
cudaError_t cudaGetDevice(int *device) {
  Entry entry;
  *device = current_device();
  return broken();
}
cudaError_t cudaSetDevice(int device) {
  Entry entry;
  if (!is_device(device)) {
    return outcome(settings().devices == 0 ? cudaErrorNoDevice : cudaErrorInvalidDevice);
  }
  device_in_use = device;
  return broken();
}
cudaError_t cudaInitDevice(int device, unsigned, unsigned) {
  Entry entry;
  return is_device(device) ? broken() : outcome(cudaErrorInvalidDevice);
}
cudaError_t cudaSetDeviceFlags(unsigned) {
  Entry entry;
  return broken();
}

cudaError_t cudaGetDeviceProperties(struct cudaDeviceProp *out, int device) {
  Entry entry;
  if (!is_device(device)) {
    return outcome(cudaErrorInvalidDevice);
  }
  describe(out, device);
  return broken();
}

cudaError_t cudaDeviceGetAttribute(int *value, enum cudaDeviceAttr attribute, int device) {
  Entry entry;
  if (!is_device(device)) {
    return outcome(cudaErrorInvalidDevice);
  }
  cudaDeviceProp p;
  describe(&p, device);
  const struct {
    cudaDeviceAttr attribute;
    int value;
  } values[] = {
      {cudaDevAttrMaxThreadsPerBlock, p.maxThreadsPerBlock},
      {cudaDevAttrMaxSharedMemoryPerBlock, static_cast<int>(p.sharedMemPerBlock)},
      {cudaDevAttrWarpSize, p.warpSize},
      {cudaDevAttrClockRate, 1980000},
      {cudaDevAttrMultiProcessorCount, p.multiProcessorCount},
      {cudaDevAttrIntegrated, p.integrated},
      {cudaDevAttrComputeMode, 0},
      {cudaDevAttrConcurrentKernels, p.concurrentKernels},
      {cudaDevAttrEccEnabled, p.ECCEnabled},
      {cudaDevAttrPciBusId, p.pciBusID},
      {cudaDevAttrPciDeviceId, p.pciDeviceID},
      {cudaDevAttrMemoryClockRate, 2619000},
      {cudaDevAttrGlobalMemoryBusWidth, p.memoryBusWidth},
      {cudaDevAttrL2CacheSize, p.l2CacheSize},
      {cudaDevAttrMaxThreadsPerMultiProcessor, p.maxThreadsPerMultiProcessor},
      {cudaDevAttrPciDomainId, p.pciDomainID},
      {cudaDevAttrComputeCapabilityMajor, p.major},
      {cudaDevAttrComputeCapabilityMinor, p.minor},
      {cudaDevAttrMaxSharedMemoryPerMultiprocessor, static_cast<int>(p.sharedMemPerMultiprocessor)},
      {cudaDevAttrMaxSharedMemoryPerBlockOptin, static_cast<int>(p.sharedMemPerBlockOptin)},
      {cudaDevAttrMaxBlocksPerMultiprocessor, p.maxBlocksPerMultiProcessor},
  };
  for (const auto &row : values) {
    if (row.attribute == attribute) {
      *value = row.value;
      return broken();
    }
  }
  return outcome(cudaErrorInvalidValue);
}

cudaError_t cudaDeviceGetPCIBusId(char *text, int bytes, int device) {
  Entry entry;
  if (!is_device(device) || bytes < 13) {
    return outcome(is_device(device) ? cudaErrorInvalidValue : cudaErrorInvalidDevice);
  }
  snprintf(text, static_cast<size_t>(bytes), "0000:%02x:00.0", device + 1);
  return broken();
}

cudaError_t cudaDeviceGetStreamPriorityRange(int *least, int *greatest) {
  Entry entry;
  *least = 0;
  *greatest = -5;
  return broken();
}

/* Nobody needs a device that was reset and works again: a broken one ends its process. */
cudaError_t cudaDeviceReset(void) {
  Entry entry;
  run_everything();
  return broken();
}

cudaError_t cudaDriverGetVersion(int *version) {
  Entry entry;
  *version = settings().devices == 0 ? 0 : 13000;
  return cudaSuccess;
}
cudaError_t cudaRuntimeGetVersion(int *version) {
  Entry entry;
  *version = CUDART_VERSION;
  return cudaSuccess;
}
