/* driver.c - a libcuda.so.1 without a GPU behind it, for a machine that has no driver: it counts no
 * device and runs nothing, but takes any code that it is given to load. cuDNN compiles some of its
 * kernels when a plan is made and wants to see them loaded; that is all that it is for.
 */
enum { SUCCESS = 0, NO_DEVICE = 100 };

static int anything; /* what every handle points to */

/* Refused: whatever looks for a device or would use one. */
#define REFUSED(name) \
  int name(void);     \
  int name(void) { return NO_DEVICE; }
REFUSED(cuInit)
REFUSED(cuCtxGetCurrent)
REFUSED(cuCtxGetDevice)
REFUSED(cuCtxGetLimit)
REFUSED(cuCtxPopCurrent)
REFUSED(cuCtxPushCurrent)
REFUSED(cuDeviceGet)
REFUSED(cuDeviceGetAttribute)
REFUSED(cuDeviceGetCount)
REFUSED(cuDevicePrimaryCtxRelease)
REFUSED(cuDevicePrimaryCtxReset)
REFUSED(cuDevicePrimaryCtxRetain)
REFUSED(cuGetErrorName)
REFUSED(cuGetErrorString)
REFUSED(cuGetProcAddress_v2)
REFUSED(cuLaunchCooperativeKernel)
REFUSED(cuLaunchKernel)
REFUSED(cuLaunchKernelEx)
REFUSED(cuLibraryLoadFromFile)
REFUSED(cuLinkAddData)
REFUSED(cuLinkAddData_v2)
REFUSED(cuLinkAddFile_v2)
REFUSED(cuLinkComplete)
REFUSED(cuLinkCreate)
REFUSED(cuLinkCreate_v2)
REFUSED(cuLinkDestroy)
REFUSED(cuMemcpyDtoH_v2)
REFUSED(cuModuleGetGlobal_v2)
REFUSED(cuModuleLoadData)
REFUSED(cuModuleLoadDataEx)
REFUSED(cuModuleLoadFatBinary)
REFUSED(cuModuleGetFunction)
REFUSED(cuOccupancyMaxPotentialClusterSize)
REFUSED(cuStreamGetCtx)
REFUSED(cuStreamSynchronize)
REFUSED(cuTensorMapEncodeTiled)

/* Granted: code is loaded, its kernels are found, their attributes can be set. */
#define GRANTED(name) \
  int name(void);     \
  int name(void) { return SUCCESS; }
GRANTED(cuFuncSetAttribute)
GRANTED(cuKernelSetAttribute)
GRANTED(cuLibraryUnload)
GRANTED(cuModuleUnload)

#define GIVES_HANDLE(name) \
  int name(void **out);    \
  int name(void **out) {   \
    *out = &anything;      \
    return SUCCESS;        \
  }
GIVES_HANDLE(cuLibraryLoadData)
GIVES_HANDLE(cuLibraryGetKernel)
GIVES_HANDLE(cuKernelGetFunction)

#define GIVES_NUMBER(name, number) \
  int name(int *out);              \
  int name(int *out) {             \
    *out = (number);               \
    return SUCCESS;                \
  }
GIVES_NUMBER(cuDriverGetVersion, 13000)
GIVES_NUMBER(cuFuncGetAttribute, 0)
GIVES_NUMBER(cuKernelGetAttribute, 0)
GIVES_NUMBER(cuOccupancyMaxActiveBlocksPerMultiprocessor, 1)
