/* errors.h - the runtime's errors, with CUDA's names and values. */
#ifndef DARKROOM_EMULATION_ERRORS_H
#define DARKROOM_EMULATION_ERRORS_H

#define EMULATION_ERRORS(X)                    \
  X(cudaSuccess, 0)                            \
  X(cudaErrorInvalidValue, 1)                  \
  X(cudaErrorMemoryAllocation, 2)              \
  X(cudaErrorInitializationError, 3)           \
  X(cudaErrorInvalidConfiguration, 9)          \
  X(cudaErrorInvalidMemcpyDirection, 21)       \
  X(cudaErrorInsufficientDriver, 35)           \
  X(cudaErrorDevicesUnavailable, 46)           \
  X(cudaErrorInvalidDeviceFunction, 98)        \
  X(cudaErrorNoDevice, 100)                    \
  X(cudaErrorInvalidDevice, 101)               \
  X(cudaErrorNoKernelImageForDevice, 209)      \
  X(cudaErrorECCUncorrectable, 214)            \
  X(cudaErrorNvlinkUncorrectable, 220)         \
  X(cudaErrorInvalidResourceHandle, 400)       \
  X(cudaErrorNotReady, 600)                    \
  X(cudaErrorIllegalAddress, 700)              \
  X(cudaErrorLaunchOutOfResources, 701)        \
  X(cudaErrorLaunchTimeout, 702)               \
  X(cudaErrorHostMemoryAlreadyRegistered, 712) \
  X(cudaErrorHostMemoryNotRegistered, 713)     \
  X(cudaErrorHardwareStackError, 714)          \
  X(cudaErrorIllegalInstruction, 715)          \
  X(cudaErrorMisalignedAddress, 716)           \
  X(cudaErrorInvalidAddressSpace, 717)         \
  X(cudaErrorInvalidPc, 718)                   \
  X(cudaErrorLaunchFailure, 719)               \
  X(cudaErrorNotPermitted, 800)                \
  X(cudaErrorNotSupported, 801)                \
  X(cudaErrorSystemNotReady, 802)              \
  X(cudaErrorSystemDriverMismatch, 803)        \
  X(cudaErrorCompatNotSupportedOnDevice, 804)  \
  X(cudaErrorStreamCaptureUnsupported, 900)    \
  X(cudaErrorStreamCaptureInvalidated, 901)    \
  X(cudaErrorStreamCaptureMerge, 902)          \
  X(cudaErrorStreamCaptureUnmatched, 903)      \
  X(cudaErrorStreamCaptureUnjoined, 904)       \
  X(cudaErrorStreamCaptureIsolation, 905)      \
  X(cudaErrorStreamCaptureImplicit, 906)       \
  X(cudaErrorCapturedEvent, 907)               \
  X(cudaErrorStreamCaptureWrongThread, 908)    \
  X(cudaErrorGraphExecUpdateFailure, 910)      \
  X(cudaErrorUnknown, 999)
typedef enum cudaError {
#define EMULATION_ERROR(name, value) name = value,
  EMULATION_ERRORS(EMULATION_ERROR)
#undef EMULATION_ERROR
} cudaError_t;

#endif
