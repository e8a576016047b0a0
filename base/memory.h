/* memory.h - how much memory there still is for this process: what its control groups and the
 * machine leave.
 *
 * Going over a control group's limit is not refused: the kernel kills, and what it kills takes the
 * work of others along. So who promises memory must know the limit first.
 */
#ifndef DARKROOM_BASE_MEMORY_H
#define DARKROOM_BASE_MEMORY_H

#include <stddef.h>
#include <stdint.h>

#define MEMORY_PATH_MAX 512
/* No limit. */
#define MEMORY_UNLIMITED UINT64_MAX

/* Bytes, as of now. */
struct memory {
  uint64_t machine; /* the kernel's own estimate of what can be had without swapping */
  uint64_t group;   /* under the control group that leaves least, whose folder is named */
  char group_path[MEMORY_PATH_MAX];
};

/* Looks in /proc and in the control groups, version 1 and 2, from our own up to the root: the
 * smallest counts. What a group uses for clean pages of files counts as free, the kernel takes them
 * back before it kills. root is put before every path, "" but in tests. What cannot be read is
 * MEMORY_UNLIMITED. */
void memory_look(const char *root, struct memory *out);

#endif
