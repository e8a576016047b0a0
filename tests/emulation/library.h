/* library.h - work of the emulated libraries (C) on the emulated streams (C++). */
#ifndef DARKROOM_EMULATION_LIBRARY_H
#define DARKROOM_EMULATION_LIBRARY_H

#include <cuda_runtime.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Queues run(arguments): the bytes are copied and live as long as the work, in a graph too. */
cudaError_t emulation_queue(cudaStream_t stream, void (*run)(const void *arguments),
                            const void *arguments, size_t bytes);
/* Whether EMULATION_FAULT wants this call of a library to fail. */
int emulation_library_fails(void);

#ifdef __cplusplus
}
#endif

#endif
